// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Written by contracts/mldsa/generate.py; change that instead.

import {OFFSET_51, OFFSET_64, QUOTIENTS_51, QUOTIENTS_64, ZETAS} from "./Memory.sol";

/// @title The number-theoretic transform of ML-DSA (FIPS 204, algorithms 41 and 42) on packed polynomials
/// @notice One multiplication by a power of ζ works on one coefficient of each polynomial. Coefficients stay below a
/// small multiple of q: docs/explanation/ml-dsa-on-chain.md shows that they stay within their lanes.
library NumberTheoreticTransform {
    /// @notice Write the powers of ζ and other constants to memory; once, before anything else.
    function prepare() internal pure {
        assembly ("memory-safe") {
            mstore(add(ZETAS, 0x0), 0x100495e020039756700396569004f062b0053df73004fe033004f066b)
            mstore(add(ZETAS, 0x20), 0x76b1ae00360dd50028edb000207fe4003972830070894a00088192006d3dc8)
            mstore(add(ZETAS, 0x40), 0x4c72940041e0b40028a3d20066528a004a18a700794034000a52ee006b7d81)
            mstore(add(ZETAS, 0x60), 0x4e9f1d001a2877002571df001649ee007611bd00492bb7002af6970022d8d5)
            mstore(add(ZETAS, 0x80), 0x36f72a0030911e0029d13f004926730050685f002010a2003887f70011b2c3)
            mstore(add(ZETAS, 0xa0), 0x603a4000e2bed0010b72c004a5f35001f9d1500428cd4003177f40020e612)
            mstore(add(ZETAS, 0xc0), 0x341c1d001ad873007366810049553f003952f60062564a0065ad0500439a1c)
            mstore(add(ZETAS, 0xe0), 0x53aa5f0030b62200087f38003b0e6d002c83da001c496e00330e2b001c5b70)
            mstore(add(ZETAS, 0x100), 0x2ee3f100137eb90057a930003ac6ef003fd54c004eb2ea00503ee1007bb175)
            mstore(add(ZETAS, 0x120), 0x2648b4001ef256001d90a20045a6d4002ae59b0052589c006ef1f5003f7288)
            mstore(add(ZETAS, 0x140), 0x17510200075d59001187ba0052aca900773e9e000296d8002592ec004cff12)
            mstore(add(ZETAS, 0x160), 0x404ce8004aa582001e54e6004f16c1001a7e790003978f004e48170031b859)
            mstore(add(ZETAS, 0x180), 0x5884cc001b4827005b63d0005d787a0035225e00400c7e006c09d1005bd532)
            mstore(add(ZETAS, 0x1a0), 0x6bc4d300258ecb002e534c00097a6c003b8820006d285c002ca4f800337caa)
            mstore(add(ZETAS, 0x1c0), 0x14b2a0005585360028f1860055795d004af67000234a860075e8260078de66)
            mstore(add(ZETAS, 0x1e0), 0x5528c007adf59000f6e17005bf3da00459b7e00628b34005dbecb001a9e7b)
            mstore(add(ZETAS, 0x200), 0x6d9006257c500574b3c0069a8ef002898380064b5fe007ef8f5002a4e78)
            mstore(add(ZETAS, 0x220), 0x120a23000154a80009b7ff00435e8700437ff8005cd5b4004dc04e004728af)
            mstore(add(ZETAS, 0x240), 0x7f735d000c8d0d000f66d5005a6d800061ab9800185d9600437f3100468298)
            mstore(add(ZETAS, 0x260), 0x662960004bd5790028de0600465d8d0049b0e30009b434007c0db3005a68b0)
            mstore(add(ZETAS, 0x280), 0x409ba90064d3d50021762a0065859100246e390048c39b007bc759004f5859)
            mstore(add(ZETAS, 0x2a0), 0x392db2002309230012eb6700454df20030c31c002854240013232e007faf80)
            mstore(add(ZETAS, 0x2c0), 0x2dbfcb00022a0b007e832c0026587a006b337500095b76006be1cc005e061e)
            mstore(add(ZETAS, 0x2e0), 0x78e00d00628c37003da604004ae53c001f1d68006330bb007361b8005ea06c)
            mstore(add(ZETAS, 0x300), 0x671ac700201fc6005ba4ff0060d7720008f201006de02400080e6d0056038e)
            mstore(add(ZETAS, 0x320), 0x695688001e6d3e002603bd006a9dfa0007c017006dbfd40074d0bd0063e1e3)
            mstore(add(ZETAS, 0x340), 0x519573007ab60d002867ba002decd40058018c003f4cf5000b700900427e23)
            mstore(add(ZETAS, 0x360), 0x3cbd370027333300673957001a4b5d00196926001ef2060011c14e004c76c8)
            mstore(add(ZETAS, 0x380), 0x3cf42f007fb19a006af66c002e1669003352d6000347600008526000741e78)
            mstore(add(ZETAS, 0x3a0), 0x2f6316006f0a110007c0f100776d0b000d1ff000345824000223d40068c559)
            mstore(add(ZETAS, 0x3c0), 0x5e8885002faa320023fc65005e69420051e0ed0065adb3002ca5e60079e1fe)
            mstore(add(ZETAS, 0x3e0), 0x7b40640035e1dd00433aac00464ade001cfe140073f1ce0010170e0074b6d7)
            mstore(QUOTIENTS_51, 0xfffffff000001ffffffe000003ffffffc000007ffffff800000fffffff)
            mstore(OFFSET_51, 0x17fa0030000002ff40060000005fe800c000000bfd00180000017fa003)
            mstore(QUOTIENTS_64, 0x1ffffffffff000001ffffffffff000001ffffffffff000001ffffffffff)
            mstore(OFFSET_64, 0xffc0020000000000ffc0020000000000ffc0020000000000ffc00200)
        }
    }

    /// @notice Transform in place five polynomials in lanes of 51 bits.
    /// @param polynomials Address of 256 words; coefficients below 1.02 q before, below 13.1 q after
    function forward(uint256 polynomials) internal pure {
        assembly ("memory-safe") {
            // Two layers a pass: `span` is the distance of the second one in bytes, `k` the place of its first ζ.
            let k := 1
            for { let span := 0x800 } gt(span, 8) { span := shr(2, span) k := shl(2, k) } {
                let zeta := add(ZETAS, shl(2, k))
                let zetas := add(ZETAS, shl(3, k))
                let start := polynomials
                for { let end := add(polynomials, 0x2000) } lt(start, end) {} {
                    let z := shr(224, mload(zeta))
                    let z0 := shr(192, mload(zetas))
                    let z1 := and(z0, 0xffffffff)
                    z0 := shr(32, z0)
                    for { let limit := add(start, span) } lt(start, limit) { start := add(start, 0x20) } {
                        let p := start
                        let a0 := mload(p)
                        let a1 := mload(add(p, span))
                        p := add(p, shl(1, span))
                        let a2 := mload(p)
                        let a3 := mload(add(p, span))
                        if eq(span, 0x80) {
                            a0 := sub(a0, mul(and(shr(23, a0), mload(QUOTIENTS_51)), 8380417))
                            a1 := sub(a1, mul(and(shr(23, a1), mload(QUOTIENTS_51)), 8380417))
                            a2 := sub(a2, mul(and(shr(23, a2), mload(QUOTIENTS_51)), 8380417))
                            a3 := sub(a3, mul(and(shr(23, a3), mload(QUOTIENTS_51)), 8380417))
                        }
                        a2 := mul(a2, z)
                        a2 := sub(a2, mul(and(shr(23, mul(and(shr(23, a2), mload(QUOTIENTS_51)), 0x802007)), mload(QUOTIENTS_51)), 8380417))
                        { let t := add(a0, a2) a2 := sub(add(a0, mload(OFFSET_51)), a2) a0 := t }
                        a3 := mul(a3, z)
                        a3 := sub(a3, mul(and(shr(23, mul(and(shr(23, a3), mload(QUOTIENTS_51)), 0x802007)), mload(QUOTIENTS_51)), 8380417))
                        { let t := add(a1, a3) a3 := sub(add(a1, mload(OFFSET_51)), a3) a1 := t }
                        a3 := mul(a3, z1)
                        a3 := sub(a3, mul(and(shr(23, mul(and(shr(23, a3), mload(QUOTIENTS_51)), 0x802007)), mload(QUOTIENTS_51)), 8380417))
                        { let t := add(a2, a3) a3 := sub(add(a2, mload(OFFSET_51)), a3) a2 := t }
                        mstore(p, a2)
                        mstore(add(p, span), a3)
                        a1 := mul(a1, z0)
                        a1 := sub(a1, mul(and(shr(23, mul(and(shr(23, a1), mload(QUOTIENTS_51)), 0x802007)), mload(QUOTIENTS_51)), 8380417))
                        { let t := add(a0, a1) a1 := sub(add(a0, mload(OFFSET_51)), a1) a0 := t }
                        mstore(start, a0)
                        mstore(add(start, span), a1)
                    }
                    zeta := add(zeta, 4)
                    zetas := add(zetas, 8)
                    start := add(start, mul(span, 3))
                }
            }
        }
    }

    /// @notice Transform back in place four polynomials in lanes of 64 bits.
    /// @param polynomials Address of 256 words; coefficients below q, before and after
    function inverse(uint256 polynomials) internal pure {
        assembly ("memory-safe") {
            // `k` is one behind the place of the last ζ of the first of two layers, whose span is `span`.
            let k := 256
            for { let span := 0x20 } lt(span, 0x2000) { span := shl(2, span) k := shr(2, k) } {
                let zetas := add(ZETAS, shl(2, k))
                let zeta := add(ZETAS, shl(1, k))
                let start := polynomials
                for { let end := add(polynomials, 0x2000) } lt(start, end) {} {
                    zetas := sub(zetas, 8)
                    zeta := sub(zeta, 4)
                    let z1 := shr(192, mload(zetas))
                    let z0 := and(z1, 0xffffffff)
                    z1 := shr(32, z1)
                    let z := shr(224, mload(zeta))
                    for { let limit := add(start, span) } lt(start, limit) { start := add(start, 0x20) } {
                        let p := start
                        let a0 := mload(p)
                        let a1 := mload(add(p, span))
                        { let t := add(a0, a1) a1 := mul(sub(add(a1, mload(OFFSET_64)), a0), z0) a0 := t }
                        a1 := sub(a1, mul(and(shr(23, mul(and(shr(23, a1), mload(QUOTIENTS_64)), 0x802007)), mload(QUOTIENTS_64)), 8380417))
                        p := add(p, shl(1, span))
                        let a2 := mload(p)
                        let a3 := mload(add(p, span))
                        { let t := add(a2, a3) a3 := mul(sub(add(a3, mload(OFFSET_64)), a2), z1) a2 := t }
                        a3 := sub(a3, mul(and(shr(23, mul(and(shr(23, a3), mload(QUOTIENTS_64)), 0x802007)), mload(QUOTIENTS_64)), 8380417))
                        { let t := add(a0, a2) a2 := mul(sub(add(a2, mload(OFFSET_64)), a0), z) a0 := t }
                        a2 := sub(a2, mul(and(shr(23, mul(and(shr(23, a2), mload(QUOTIENTS_64)), 0x802007)), mload(QUOTIENTS_64)), 8380417))
                        { let t := add(a1, a3) a3 := mul(sub(add(a3, mload(OFFSET_64)), a1), z) a1 := t }
                        a3 := sub(a3, mul(and(shr(23, mul(and(shr(23, a3), mload(QUOTIENTS_64)), 0x802007)), mload(QUOTIENTS_64)), 8380417))
                        mstore(start, a0)
                        mstore(add(start, span), a1)
                        mstore(p, a2)
                        mstore(add(p, span), a3)
                    }
                    start := add(start, mul(span, 3))
                }
            }
            for { let p := polynomials } lt(p, add(polynomials, 0x2000)) { p := add(p, 0x20) } {
                let a := mul(mload(p), 8347681)
                a := sub(a, mul(and(shr(23, mul(and(shr(23, a), mload(QUOTIENTS_64)), 0x802007)), mload(QUOTIENTS_64)), 8380417))
                a := sub(a, mul(and(shr(23, a), mload(QUOTIENTS_64)), 8380417))
                let above := and(shr(24, add(a, 0x801fff0000000000801fff0000000000801fff0000000000801fff)), 0x1000000000000000100000000000000010000000000000001)
                mstore(p, sub(a, mul(above, 8380417)))
            }
        }
    }
}
