// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Verification of ML-DSA-44 signatures (FIPS 204)
interface IMLDSA44Verifier {
    /// @notice Whether `signature` is a valid pure ML-DSA-44 signature of the 32 bytes `message`.
    /// @dev ML-DSA.Verify, FIPS 204, algorithm 3. Answers false to whatever is malformed; it never reverts but for lack
    /// of gas, of which it wants 3,000,000.
    /// @param publicKey 1,312 bytes, as FIPS 204 encodes it
    /// @param message What was signed, usually a digest; not hashed again before ML-DSA does
    /// @param context At most 255 bytes
    /// @param signature 2,420 bytes, as FIPS 204 encodes it
    function verify(
        bytes calldata publicKey,
        bytes32 message,
        bytes calldata context,
        bytes calldata signature
    ) external pure returns (bool valid);

    /// @notice Whether `signature` is valid for the message representative `mu`, as FIPS 204, algorithm 8, line 7, has it.
    /// @dev For messages of any length. The caller vouches that mu = H(H(publicKey, 64) ‖ M′, 64): with a mu of an
    /// attacker's choice an answer says nothing. Otherwise like `verify`.
    function verifyMu(
        bytes calldata publicKey,
        bytes32[2] calldata mu,
        bytes calldata signature
    ) external pure returns (bool valid);
}
