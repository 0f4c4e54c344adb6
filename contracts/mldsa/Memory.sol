// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Where ML-DSA verification keeps what: fixed places, so that every address is a literal in the bytecode.
// `MLDSA44Verifier.verify` owns all of it: it moves the free memory pointer from below MEMORY_START to MEMORY_END first.
//
// Packed polynomials are 256 words of one coefficient of each of several polynomials, in lanes from the lowest bits up:
// five lanes of 51 bits before the inverse transform, four lanes of 64 bits after the matrix product.

uint256 constant MEMORY_START = 0x800;

// Four Keccak states: 25 words, state i in bits 64i to 64i+63 of each.
uint256 constant STATE = 0x800;
uint256 constant OTHER_STATE = 0xb40;
uint256 constant ROUND_CONSTANTS = 0xe80;

// Wide constants that the unrolled code reads from here, because the compiler, at a low number of runs, would rather
// compute them anew each time: the lowest r bits of every state's lane for each rotation, and those of the transforms.
uint256 constant ROTATION_MASKS = 0x1180;
uint256 constant QUOTIENTS_51 = 0x1480;
uint256 constant OFFSET_51 = 0x14a0;
uint256 constant QUOTIENTS_64 = 0x14c0;
uint256 constant OFFSET_64 = 0x14e0;

// Powers of ζ in the order of FIPS 204, appendix B: 256 of four bytes.
uint256 constant ZETAS = 0x1500;

// The next free place of each of four streams of coefficients, which grow downwards.
uint256 constant CURSORS = 0x1900;

// Hash inputs, padded in place: public key, tr ‖ M′, c̃, μ ‖ w₁. What follows each may be overwritten while it is written.
uint256 constant KEY_INPUT = 0x1980;
uint256 constant MESSAGE_INPUT = 0x1ee0;
uint256 constant CHALLENGE_INPUT = 0x20a0;
uint256 constant COMMITMENT_INPUT = 0x2160;
// What SHAKE256 makes of c̃: two blocks.
uint256 constant CHALLENGE_STREAM = 0x2540;

// ẑ₀, ẑ₁, ẑ₂, ẑ₃, ĉ in five lanes; later w in four.
uint256 constant RESPONSE = 0x2800;
// t̂ in lanes 0 to 3; later the encoded w₁ in 32 words.
uint256 constant TARGET = 0x4800;

// Â: sixteen streams, row by row; coefficient n of stream k in the three bytes below MATRIX + (k + 1) * STREAM - 3n.
uint256 constant MATRIX = 0x6800;
uint256 constant STREAM = 0x400;

uint256 constant MEMORY_END = 0xa800;
