// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Written by contracts/mldsa/generate.py; change that instead.

import {OTHER_STATE, ROTATION_MASKS, ROUND_CONSTANTS, STATE} from "./Memory.sol";

/// @title Keccak-f[1600] (FIPS 202) on four states at once
/// @notice Word i of STATE holds lane i of all four, the first in the lowest 64 bits: one instruction works on four.
/// Rounds lead from STATE to OTHER_STATE and back.
library KeccakF1600x4 {
    /// @notice Write the constants to memory; once, before `permute`.
    function prepare() internal pure {
        assembly ("memory-safe") {
            mstore(add(ROUND_CONSTANTS, 0x0), 0x1000000000000000100000000000000010000000000000001)
            mstore(add(ROUND_CONSTANTS, 0x20), 0x8082000000000000808200000000000080820000000000008082)
            mstore(add(ROUND_CONSTANTS, 0x40), 0x800000000000808a800000000000808a800000000000808a800000000000808a)
            mstore(add(ROUND_CONSTANTS, 0x60), 0x8000000080008000800000008000800080000000800080008000000080008000)
            mstore(add(ROUND_CONSTANTS, 0x80), 0x808b000000000000808b000000000000808b000000000000808b)
            mstore(add(ROUND_CONSTANTS, 0xa0), 0x80000001000000008000000100000000800000010000000080000001)
            mstore(add(ROUND_CONSTANTS, 0xc0), 0x8000000080008081800000008000808180000000800080818000000080008081)
            mstore(add(ROUND_CONSTANTS, 0xe0), 0x8000000000008009800000000000800980000000000080098000000000008009)
            mstore(add(ROUND_CONSTANTS, 0x100), 0x8a000000000000008a000000000000008a000000000000008a)
            mstore(add(ROUND_CONSTANTS, 0x120), 0x88000000000000008800000000000000880000000000000088)
            mstore(add(ROUND_CONSTANTS, 0x140), 0x80008009000000008000800900000000800080090000000080008009)
            mstore(add(ROUND_CONSTANTS, 0x160), 0x8000000a000000008000000a000000008000000a000000008000000a)
            mstore(add(ROUND_CONSTANTS, 0x180), 0x8000808b000000008000808b000000008000808b000000008000808b)
            mstore(add(ROUND_CONSTANTS, 0x1a0), 0x800000000000008b800000000000008b800000000000008b800000000000008b)
            mstore(add(ROUND_CONSTANTS, 0x1c0), 0x8000000000008089800000000000808980000000000080898000000000008089)
            mstore(add(ROUND_CONSTANTS, 0x1e0), 0x8000000000008003800000000000800380000000000080038000000000008003)
            mstore(add(ROUND_CONSTANTS, 0x200), 0x8000000000008002800000000000800280000000000080028000000000008002)
            mstore(add(ROUND_CONSTANTS, 0x220), 0x8000000000000080800000000000008080000000000000808000000000000080)
            mstore(add(ROUND_CONSTANTS, 0x240), 0x800a000000000000800a000000000000800a000000000000800a)
            mstore(add(ROUND_CONSTANTS, 0x260), 0x800000008000000a800000008000000a800000008000000a800000008000000a)
            mstore(add(ROUND_CONSTANTS, 0x280), 0x8000000080008081800000008000808180000000800080818000000080008081)
            mstore(add(ROUND_CONSTANTS, 0x2a0), 0x8000000000008080800000000000808080000000000080808000000000008080)
            mstore(add(ROUND_CONSTANTS, 0x2c0), 0x80000001000000008000000100000000800000010000000080000001)
            mstore(add(ROUND_CONSTANTS, 0x2e0), 0x8000000080008008800000008000800880000000800080088000000080008008)
            mstore(add(ROTATION_MASKS, 0x0), 0x1000000000000000100000000000000010000000000000001)
            mstore(add(ROTATION_MASKS, 0x20), 0x3000000000000000300000000000000030000000000000003)
            mstore(add(ROTATION_MASKS, 0x40), 0x7000000000000000700000000000000070000000000000007)
            mstore(add(ROTATION_MASKS, 0x60), 0x3f000000000000003f000000000000003f000000000000003f)
            mstore(add(ROTATION_MASKS, 0x80), 0xff00000000000000ff00000000000000ff00000000000000ff)
            mstore(add(ROTATION_MASKS, 0xa0), 0x3ff00000000000003ff00000000000003ff00000000000003ff)
            mstore(add(ROTATION_MASKS, 0xc0), 0x3fff0000000000003fff0000000000003fff0000000000003fff)
            mstore(add(ROTATION_MASKS, 0xe0), 0x7fff0000000000007fff0000000000007fff0000000000007fff)
            mstore(add(ROTATION_MASKS, 0x100), 0x3ffff000000000003ffff000000000003ffff000000000003ffff)
            mstore(add(ROTATION_MASKS, 0x120), 0xfffff00000000000fffff00000000000fffff00000000000fffff)
            mstore(add(ROTATION_MASKS, 0x140), 0x1fffff00000000001fffff00000000001fffff00000000001fffff)
            mstore(add(ROTATION_MASKS, 0x160), 0x1ffffff0000000001ffffff0000000001ffffff0000000001ffffff)
            mstore(add(ROTATION_MASKS, 0x180), 0x7ffffff0000000007ffffff0000000007ffffff0000000007ffffff)
            mstore(add(ROTATION_MASKS, 0x1a0), 0xfffffff000000000fffffff000000000fffffff000000000fffffff)
            mstore(add(ROTATION_MASKS, 0x1c0), 0xfffffffff0000000fffffffff0000000fffffffff0000000fffffffff)
            mstore(add(ROTATION_MASKS, 0x1e0), 0x7fffffffff0000007fffffffff0000007fffffffff0000007fffffffff)
            mstore(add(ROTATION_MASKS, 0x200), 0x1ffffffffff000001ffffffffff000001ffffffffff000001ffffffffff)
            mstore(add(ROTATION_MASKS, 0x220), 0x7ffffffffff000007ffffffffff000007ffffffffff000007ffffffffff)
            mstore(add(ROTATION_MASKS, 0x240), 0xfffffffffff00000fffffffffff00000fffffffffff00000fffffffffff)
            mstore(add(ROTATION_MASKS, 0x260), 0x1fffffffffff00001fffffffffff00001fffffffffff00001fffffffffff)
            mstore(add(ROTATION_MASKS, 0x280), 0x7fffffffffffff007fffffffffffff007fffffffffffff007fffffffffffff)
            mstore(add(ROTATION_MASKS, 0x2a0), 0xffffffffffffff00ffffffffffffff00ffffffffffffff00ffffffffffffff)
            mstore(add(ROTATION_MASKS, 0x2c0), 0x1fffffffffffffff1fffffffffffffff1fffffffffffffff1fffffffffffffff)
            mstore(add(ROTATION_MASKS, 0x2e0), 0x3fffffffffffffff3fffffffffffffff3fffffffffffffff3fffffffffffffff)
        }
    }

    /// @notice Permute the four states in place.
    /// @dev The parts of a round are functions, and each is called twice, so that the compiler keeps them apart: across
    /// them it would hold the state on the stack, which is too small for it.
    function permute() internal pure {
        assembly ("memory-safe") {
            function evenParities() -> d0, d1, d2, d3, d4 {
                let c0 := xor(xor(xor(xor(mload(STATE), mload(add(STATE, 0xa0))), mload(add(STATE, 0x140))), mload(add(STATE, 0x1e0))), mload(add(STATE, 0x280)))
                let c1 := xor(xor(xor(xor(mload(add(STATE, 0x20)), mload(add(STATE, 0xc0))), mload(add(STATE, 0x160))), mload(add(STATE, 0x200))), mload(add(STATE, 0x2a0)))
                let c2 := xor(xor(xor(xor(mload(add(STATE, 0x40)), mload(add(STATE, 0xe0))), mload(add(STATE, 0x180))), mload(add(STATE, 0x220))), mload(add(STATE, 0x2c0)))
                let c3 := xor(xor(xor(xor(mload(add(STATE, 0x60)), mload(add(STATE, 0x100))), mload(add(STATE, 0x1a0))), mload(add(STATE, 0x240))), mload(add(STATE, 0x2e0)))
                let c4 := xor(xor(xor(xor(mload(add(STATE, 0x80)), mload(add(STATE, 0x120))), mload(add(STATE, 0x1c0))), mload(add(STATE, 0x260))), mload(add(STATE, 0x300)))
                d0 := c1
                { let s := shl(1, d0) d0 := xor(s, and(xor(s, shr(63, d0)), mload(add(ROTATION_MASKS, 0x0)))) }
                d0 := xor(c4, d0)
                d1 := c2
                { let s := shl(1, d1) d1 := xor(s, and(xor(s, shr(63, d1)), mload(add(ROTATION_MASKS, 0x0)))) }
                d1 := xor(c0, d1)
                d2 := c3
                { let s := shl(1, d2) d2 := xor(s, and(xor(s, shr(63, d2)), mload(add(ROTATION_MASKS, 0x0)))) }
                d2 := xor(c1, d2)
                d3 := c4
                { let s := shl(1, d3) d3 := xor(s, and(xor(s, shr(63, d3)), mload(add(ROTATION_MASKS, 0x0)))) }
                d3 := xor(c2, d3)
                d4 := c0
                { let s := shl(1, d4) d4 := xor(s, and(xor(s, shr(63, d4)), mload(add(ROTATION_MASKS, 0x0)))) }
                d4 := xor(c3, d4)
            }

            function evenStep(d0, d1, d2, d3, d4, constant_) {
                {
                    let b0 := xor(mload(STATE), d0)
                    let b1 := xor(mload(add(STATE, 0xc0)), d1)
                    { let s := shl(44, b1) b1 := xor(s, and(xor(s, shr(20, b1)), mload(add(ROTATION_MASKS, 0x240)))) }
                    let b2 := xor(mload(add(STATE, 0x180)), d2)
                    { let s := shl(43, b2) b2 := xor(s, and(xor(s, shr(21, b2)), mload(add(ROTATION_MASKS, 0x220)))) }
                    let b3 := xor(mload(add(STATE, 0x240)), d3)
                    { let s := shl(21, b3) b3 := xor(s, and(xor(s, shr(43, b3)), mload(add(ROTATION_MASKS, 0x140)))) }
                    let b4 := xor(mload(add(STATE, 0x300)), d4)
                    { let s := shl(14, b4) b4 := xor(s, and(xor(s, shr(50, b4)), mload(add(ROTATION_MASKS, 0xc0)))) }
                    mstore(OTHER_STATE, xor(xor(b0, and(not(b1), b2)), constant_))
                    mstore(add(OTHER_STATE, 0x20), xor(b1, and(not(b2), b3)))
                    mstore(add(OTHER_STATE, 0x40), xor(b2, and(not(b3), b4)))
                    mstore(add(OTHER_STATE, 0x60), xor(b3, and(not(b4), b0)))
                    mstore(add(OTHER_STATE, 0x80), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(STATE, 0x60)), d3)
                    { let s := shl(28, b0) b0 := xor(s, and(xor(s, shr(36, b0)), mload(add(ROTATION_MASKS, 0x1a0)))) }
                    let b1 := xor(mload(add(STATE, 0x120)), d4)
                    { let s := shl(20, b1) b1 := xor(s, and(xor(s, shr(44, b1)), mload(add(ROTATION_MASKS, 0x120)))) }
                    let b2 := xor(mload(add(STATE, 0x140)), d0)
                    { let s := shl(3, b2) b2 := xor(s, and(xor(s, shr(61, b2)), mload(add(ROTATION_MASKS, 0x40)))) }
                    let b3 := xor(mload(add(STATE, 0x200)), d1)
                    { let s := shl(45, b3) b3 := xor(s, and(xor(s, shr(19, b3)), mload(add(ROTATION_MASKS, 0x260)))) }
                    let b4 := xor(mload(add(STATE, 0x2c0)), d2)
                    { let s := shl(61, b4) b4 := xor(s, and(xor(s, shr(3, b4)), mload(add(ROTATION_MASKS, 0x2c0)))) }
                    mstore(add(OTHER_STATE, 0xa0), xor(b0, and(not(b1), b2)))
                    mstore(add(OTHER_STATE, 0xc0), xor(b1, and(not(b2), b3)))
                    mstore(add(OTHER_STATE, 0xe0), xor(b2, and(not(b3), b4)))
                    mstore(add(OTHER_STATE, 0x100), xor(b3, and(not(b4), b0)))
                    mstore(add(OTHER_STATE, 0x120), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(STATE, 0x20)), d1)
                    { let s := shl(1, b0) b0 := xor(s, and(xor(s, shr(63, b0)), mload(add(ROTATION_MASKS, 0x0)))) }
                    let b1 := xor(mload(add(STATE, 0xe0)), d2)
                    { let s := shl(6, b1) b1 := xor(s, and(xor(s, shr(58, b1)), mload(add(ROTATION_MASKS, 0x60)))) }
                    let b2 := xor(mload(add(STATE, 0x1a0)), d3)
                    { let s := shl(25, b2) b2 := xor(s, and(xor(s, shr(39, b2)), mload(add(ROTATION_MASKS, 0x160)))) }
                    let b3 := xor(mload(add(STATE, 0x260)), d4)
                    { let s := shl(8, b3) b3 := xor(s, and(xor(s, shr(56, b3)), mload(add(ROTATION_MASKS, 0x80)))) }
                    let b4 := xor(mload(add(STATE, 0x280)), d0)
                    { let s := shl(18, b4) b4 := xor(s, and(xor(s, shr(46, b4)), mload(add(ROTATION_MASKS, 0x100)))) }
                    mstore(add(OTHER_STATE, 0x140), xor(b0, and(not(b1), b2)))
                    mstore(add(OTHER_STATE, 0x160), xor(b1, and(not(b2), b3)))
                    mstore(add(OTHER_STATE, 0x180), xor(b2, and(not(b3), b4)))
                    mstore(add(OTHER_STATE, 0x1a0), xor(b3, and(not(b4), b0)))
                    mstore(add(OTHER_STATE, 0x1c0), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(STATE, 0x80)), d4)
                    { let s := shl(27, b0) b0 := xor(s, and(xor(s, shr(37, b0)), mload(add(ROTATION_MASKS, 0x180)))) }
                    let b1 := xor(mload(add(STATE, 0xa0)), d0)
                    { let s := shl(36, b1) b1 := xor(s, and(xor(s, shr(28, b1)), mload(add(ROTATION_MASKS, 0x1c0)))) }
                    let b2 := xor(mload(add(STATE, 0x160)), d1)
                    { let s := shl(10, b2) b2 := xor(s, and(xor(s, shr(54, b2)), mload(add(ROTATION_MASKS, 0xa0)))) }
                    let b3 := xor(mload(add(STATE, 0x220)), d2)
                    { let s := shl(15, b3) b3 := xor(s, and(xor(s, shr(49, b3)), mload(add(ROTATION_MASKS, 0xe0)))) }
                    let b4 := xor(mload(add(STATE, 0x2e0)), d3)
                    { let s := shl(56, b4) b4 := xor(s, and(xor(s, shr(8, b4)), mload(add(ROTATION_MASKS, 0x2a0)))) }
                    mstore(add(OTHER_STATE, 0x1e0), xor(b0, and(not(b1), b2)))
                    mstore(add(OTHER_STATE, 0x200), xor(b1, and(not(b2), b3)))
                    mstore(add(OTHER_STATE, 0x220), xor(b2, and(not(b3), b4)))
                    mstore(add(OTHER_STATE, 0x240), xor(b3, and(not(b4), b0)))
                    mstore(add(OTHER_STATE, 0x260), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(STATE, 0x40)), d2)
                    { let s := shl(62, b0) b0 := xor(s, and(xor(s, shr(2, b0)), mload(add(ROTATION_MASKS, 0x2e0)))) }
                    let b1 := xor(mload(add(STATE, 0x100)), d3)
                    { let s := shl(55, b1) b1 := xor(s, and(xor(s, shr(9, b1)), mload(add(ROTATION_MASKS, 0x280)))) }
                    let b2 := xor(mload(add(STATE, 0x1c0)), d4)
                    { let s := shl(39, b2) b2 := xor(s, and(xor(s, shr(25, b2)), mload(add(ROTATION_MASKS, 0x1e0)))) }
                    let b3 := xor(mload(add(STATE, 0x1e0)), d0)
                    { let s := shl(41, b3) b3 := xor(s, and(xor(s, shr(23, b3)), mload(add(ROTATION_MASKS, 0x200)))) }
                    let b4 := xor(mload(add(STATE, 0x2a0)), d1)
                    { let s := shl(2, b4) b4 := xor(s, and(xor(s, shr(62, b4)), mload(add(ROTATION_MASKS, 0x20)))) }
                    mstore(add(OTHER_STATE, 0x280), xor(b0, and(not(b1), b2)))
                    mstore(add(OTHER_STATE, 0x2a0), xor(b1, and(not(b2), b3)))
                    mstore(add(OTHER_STATE, 0x2c0), xor(b2, and(not(b3), b4)))
                    mstore(add(OTHER_STATE, 0x2e0), xor(b3, and(not(b4), b0)))
                    mstore(add(OTHER_STATE, 0x300), xor(b4, and(not(b0), b1)))
                }
            }

            function oddParities() -> d0, d1, d2, d3, d4 {
                let c0 := xor(xor(xor(xor(mload(OTHER_STATE), mload(add(OTHER_STATE, 0xa0))), mload(add(OTHER_STATE, 0x140))), mload(add(OTHER_STATE, 0x1e0))), mload(add(OTHER_STATE, 0x280)))
                let c1 := xor(xor(xor(xor(mload(add(OTHER_STATE, 0x20)), mload(add(OTHER_STATE, 0xc0))), mload(add(OTHER_STATE, 0x160))), mload(add(OTHER_STATE, 0x200))), mload(add(OTHER_STATE, 0x2a0)))
                let c2 := xor(xor(xor(xor(mload(add(OTHER_STATE, 0x40)), mload(add(OTHER_STATE, 0xe0))), mload(add(OTHER_STATE, 0x180))), mload(add(OTHER_STATE, 0x220))), mload(add(OTHER_STATE, 0x2c0)))
                let c3 := xor(xor(xor(xor(mload(add(OTHER_STATE, 0x60)), mload(add(OTHER_STATE, 0x100))), mload(add(OTHER_STATE, 0x1a0))), mload(add(OTHER_STATE, 0x240))), mload(add(OTHER_STATE, 0x2e0)))
                let c4 := xor(xor(xor(xor(mload(add(OTHER_STATE, 0x80)), mload(add(OTHER_STATE, 0x120))), mload(add(OTHER_STATE, 0x1c0))), mload(add(OTHER_STATE, 0x260))), mload(add(OTHER_STATE, 0x300)))
                d0 := c1
                { let s := shl(1, d0) d0 := xor(s, and(xor(s, shr(63, d0)), mload(add(ROTATION_MASKS, 0x0)))) }
                d0 := xor(c4, d0)
                d1 := c2
                { let s := shl(1, d1) d1 := xor(s, and(xor(s, shr(63, d1)), mload(add(ROTATION_MASKS, 0x0)))) }
                d1 := xor(c0, d1)
                d2 := c3
                { let s := shl(1, d2) d2 := xor(s, and(xor(s, shr(63, d2)), mload(add(ROTATION_MASKS, 0x0)))) }
                d2 := xor(c1, d2)
                d3 := c4
                { let s := shl(1, d3) d3 := xor(s, and(xor(s, shr(63, d3)), mload(add(ROTATION_MASKS, 0x0)))) }
                d3 := xor(c2, d3)
                d4 := c0
                { let s := shl(1, d4) d4 := xor(s, and(xor(s, shr(63, d4)), mload(add(ROTATION_MASKS, 0x0)))) }
                d4 := xor(c3, d4)
            }

            function oddStep(d0, d1, d2, d3, d4, constant_) {
                {
                    let b0 := xor(mload(OTHER_STATE), d0)
                    let b1 := xor(mload(add(OTHER_STATE, 0xc0)), d1)
                    { let s := shl(44, b1) b1 := xor(s, and(xor(s, shr(20, b1)), mload(add(ROTATION_MASKS, 0x240)))) }
                    let b2 := xor(mload(add(OTHER_STATE, 0x180)), d2)
                    { let s := shl(43, b2) b2 := xor(s, and(xor(s, shr(21, b2)), mload(add(ROTATION_MASKS, 0x220)))) }
                    let b3 := xor(mload(add(OTHER_STATE, 0x240)), d3)
                    { let s := shl(21, b3) b3 := xor(s, and(xor(s, shr(43, b3)), mload(add(ROTATION_MASKS, 0x140)))) }
                    let b4 := xor(mload(add(OTHER_STATE, 0x300)), d4)
                    { let s := shl(14, b4) b4 := xor(s, and(xor(s, shr(50, b4)), mload(add(ROTATION_MASKS, 0xc0)))) }
                    mstore(STATE, xor(xor(b0, and(not(b1), b2)), constant_))
                    mstore(add(STATE, 0x20), xor(b1, and(not(b2), b3)))
                    mstore(add(STATE, 0x40), xor(b2, and(not(b3), b4)))
                    mstore(add(STATE, 0x60), xor(b3, and(not(b4), b0)))
                    mstore(add(STATE, 0x80), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(OTHER_STATE, 0x60)), d3)
                    { let s := shl(28, b0) b0 := xor(s, and(xor(s, shr(36, b0)), mload(add(ROTATION_MASKS, 0x1a0)))) }
                    let b1 := xor(mload(add(OTHER_STATE, 0x120)), d4)
                    { let s := shl(20, b1) b1 := xor(s, and(xor(s, shr(44, b1)), mload(add(ROTATION_MASKS, 0x120)))) }
                    let b2 := xor(mload(add(OTHER_STATE, 0x140)), d0)
                    { let s := shl(3, b2) b2 := xor(s, and(xor(s, shr(61, b2)), mload(add(ROTATION_MASKS, 0x40)))) }
                    let b3 := xor(mload(add(OTHER_STATE, 0x200)), d1)
                    { let s := shl(45, b3) b3 := xor(s, and(xor(s, shr(19, b3)), mload(add(ROTATION_MASKS, 0x260)))) }
                    let b4 := xor(mload(add(OTHER_STATE, 0x2c0)), d2)
                    { let s := shl(61, b4) b4 := xor(s, and(xor(s, shr(3, b4)), mload(add(ROTATION_MASKS, 0x2c0)))) }
                    mstore(add(STATE, 0xa0), xor(b0, and(not(b1), b2)))
                    mstore(add(STATE, 0xc0), xor(b1, and(not(b2), b3)))
                    mstore(add(STATE, 0xe0), xor(b2, and(not(b3), b4)))
                    mstore(add(STATE, 0x100), xor(b3, and(not(b4), b0)))
                    mstore(add(STATE, 0x120), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(OTHER_STATE, 0x20)), d1)
                    { let s := shl(1, b0) b0 := xor(s, and(xor(s, shr(63, b0)), mload(add(ROTATION_MASKS, 0x0)))) }
                    let b1 := xor(mload(add(OTHER_STATE, 0xe0)), d2)
                    { let s := shl(6, b1) b1 := xor(s, and(xor(s, shr(58, b1)), mload(add(ROTATION_MASKS, 0x60)))) }
                    let b2 := xor(mload(add(OTHER_STATE, 0x1a0)), d3)
                    { let s := shl(25, b2) b2 := xor(s, and(xor(s, shr(39, b2)), mload(add(ROTATION_MASKS, 0x160)))) }
                    let b3 := xor(mload(add(OTHER_STATE, 0x260)), d4)
                    { let s := shl(8, b3) b3 := xor(s, and(xor(s, shr(56, b3)), mload(add(ROTATION_MASKS, 0x80)))) }
                    let b4 := xor(mload(add(OTHER_STATE, 0x280)), d0)
                    { let s := shl(18, b4) b4 := xor(s, and(xor(s, shr(46, b4)), mload(add(ROTATION_MASKS, 0x100)))) }
                    mstore(add(STATE, 0x140), xor(b0, and(not(b1), b2)))
                    mstore(add(STATE, 0x160), xor(b1, and(not(b2), b3)))
                    mstore(add(STATE, 0x180), xor(b2, and(not(b3), b4)))
                    mstore(add(STATE, 0x1a0), xor(b3, and(not(b4), b0)))
                    mstore(add(STATE, 0x1c0), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(OTHER_STATE, 0x80)), d4)
                    { let s := shl(27, b0) b0 := xor(s, and(xor(s, shr(37, b0)), mload(add(ROTATION_MASKS, 0x180)))) }
                    let b1 := xor(mload(add(OTHER_STATE, 0xa0)), d0)
                    { let s := shl(36, b1) b1 := xor(s, and(xor(s, shr(28, b1)), mload(add(ROTATION_MASKS, 0x1c0)))) }
                    let b2 := xor(mload(add(OTHER_STATE, 0x160)), d1)
                    { let s := shl(10, b2) b2 := xor(s, and(xor(s, shr(54, b2)), mload(add(ROTATION_MASKS, 0xa0)))) }
                    let b3 := xor(mload(add(OTHER_STATE, 0x220)), d2)
                    { let s := shl(15, b3) b3 := xor(s, and(xor(s, shr(49, b3)), mload(add(ROTATION_MASKS, 0xe0)))) }
                    let b4 := xor(mload(add(OTHER_STATE, 0x2e0)), d3)
                    { let s := shl(56, b4) b4 := xor(s, and(xor(s, shr(8, b4)), mload(add(ROTATION_MASKS, 0x2a0)))) }
                    mstore(add(STATE, 0x1e0), xor(b0, and(not(b1), b2)))
                    mstore(add(STATE, 0x200), xor(b1, and(not(b2), b3)))
                    mstore(add(STATE, 0x220), xor(b2, and(not(b3), b4)))
                    mstore(add(STATE, 0x240), xor(b3, and(not(b4), b0)))
                    mstore(add(STATE, 0x260), xor(b4, and(not(b0), b1)))
                }
                {
                    let b0 := xor(mload(add(OTHER_STATE, 0x40)), d2)
                    { let s := shl(62, b0) b0 := xor(s, and(xor(s, shr(2, b0)), mload(add(ROTATION_MASKS, 0x2e0)))) }
                    let b1 := xor(mload(add(OTHER_STATE, 0x100)), d3)
                    { let s := shl(55, b1) b1 := xor(s, and(xor(s, shr(9, b1)), mload(add(ROTATION_MASKS, 0x280)))) }
                    let b2 := xor(mload(add(OTHER_STATE, 0x1c0)), d4)
                    { let s := shl(39, b2) b2 := xor(s, and(xor(s, shr(25, b2)), mload(add(ROTATION_MASKS, 0x1e0)))) }
                    let b3 := xor(mload(add(OTHER_STATE, 0x1e0)), d0)
                    { let s := shl(41, b3) b3 := xor(s, and(xor(s, shr(23, b3)), mload(add(ROTATION_MASKS, 0x200)))) }
                    let b4 := xor(mload(add(OTHER_STATE, 0x2a0)), d1)
                    { let s := shl(2, b4) b4 := xor(s, and(xor(s, shr(62, b4)), mload(add(ROTATION_MASKS, 0x20)))) }
                    mstore(add(STATE, 0x280), xor(b0, and(not(b1), b2)))
                    mstore(add(STATE, 0x2a0), xor(b1, and(not(b2), b3)))
                    mstore(add(STATE, 0x2c0), xor(b2, and(not(b3), b4)))
                    mstore(add(STATE, 0x2e0), xor(b3, and(not(b4), b0)))
                    mstore(add(STATE, 0x300), xor(b4, and(not(b0), b1)))
                }
            }

            for { let i := ROUND_CONSTANTS } lt(i, add(ROUND_CONSTANTS, 0x300)) { i := add(i, 0x80) } {
                let d0, d1, d2, d3, d4 := evenParities()
                evenStep(d0, d1, d2, d3, d4, mload(i))
                d0, d1, d2, d3, d4 := oddParities()
                oddStep(d0, d1, d2, d3, d4, mload(add(i, 0x20)))
                d0, d1, d2, d3, d4 := evenParities()
                evenStep(d0, d1, d2, d3, d4, mload(add(i, 0x40)))
                d0, d1, d2, d3, d4 := oddParities()
                oddStep(d0, d1, d2, d3, d4, mload(add(i, 0x60)))
            }
        }
    }
}
