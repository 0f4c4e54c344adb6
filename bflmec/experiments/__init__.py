"""The paper's tables and figures, and what goes beyond them: one module each."""
