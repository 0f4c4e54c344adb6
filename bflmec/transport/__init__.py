"""How clients and edge nodes reach each other: sealed uploads, sessions between edge nodes, the client of their API."""
