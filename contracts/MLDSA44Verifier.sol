// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMLDSA44Verifier} from "./interfaces/IMLDSA44Verifier.sol";
import {Arithmetic} from "./mldsa/Arithmetic.sol";
import {Commitment} from "./mldsa/Commitment.sol";
import {Expansion} from "./mldsa/Expansion.sol";
import {KeccakF1600x4} from "./mldsa/KeccakF1600x4.sol";
import {
    CHALLENGE_INPUT,
    COMMITMENT_INPUT,
    KEY_INPUT,
    MEMORY_END,
    MEMORY_START,
    MESSAGE_INPUT,
    RESPONSE,
    TARGET
} from "./mldsa/Memory.sol";
import {NumberTheoreticTransform} from "./mldsa/NumberTheoreticTransform.sol";
import {Sponge} from "./mldsa/Sponge.sol";

/// @title ML-DSA-44 verification from the compact public key
contract MLDSA44Verifier is IMLDSA44Verifier {
    uint256 private constant PUBLIC_KEY_SIZE = 1312;
    uint256 private constant SIGNATURE_SIZE = 2420;
    uint256 private constant CHALLENGE_SIZE = 32;
    uint256 private constant HINTS_START = 2336;
    uint256 private constant SEED_SIZE = 32;

    /// @inheritdoc IMLDSA44Verifier
    function verify(
        bytes calldata publicKey,
        bytes32 message,
        bytes calldata context,
        bytes calldata signature
    ) external pure returns (bool valid) {
        if (context.length > 255 || !_wellFormed(publicKey, signature)) return false;
        _begin(publicKey, signature);
        // M′ = 0 ‖ |context| ‖ context ‖ message, after what will be tr.
        assembly ("memory-safe") {
            mstore8(add(MESSAGE_INPUT, 65), context.length)
            calldatacopy(add(MESSAGE_INPUT, 66), context.offset, context.length)
            mstore(add(add(MESSAGE_INPUT, 66), context.length), message)
        }
        if (!Expansion.expand(bytes32(publicKey[:SEED_SIZE]), 34 + context.length)) return false;
        return _answers(publicKey, signature);
    }

    /// @inheritdoc IMLDSA44Verifier
    function verifyMu(
        bytes calldata publicKey,
        bytes32[2] calldata mu,
        bytes calldata signature
    ) external pure returns (bool valid) {
        if (!_wellFormed(publicKey, signature)) return false;
        _begin(publicKey, signature);
        if (!Expansion.expand(bytes32(publicKey[:SEED_SIZE]), 0)) return false;
        assembly ("memory-safe") {
            calldatacopy(COMMITMENT_INPUT, mu, 64)
        }
        return _answers(publicKey, signature);
    }

    /// @dev What can be seen without arithmetic: sizes, and the encoding of the hints.
    function _wellFormed(bytes calldata publicKey, bytes calldata signature) private pure returns (bool) {
        return
            publicKey.length == PUBLIC_KEY_SIZE &&
            signature.length == SIGNATURE_SIZE &&
            Commitment.hintsWellFormed(signature[HINTS_START:]);
    }

    /// @dev Own what mldsa/Memory.sol lays out, and put the constants, pk and c̃ in their places. The compiler's own
    /// needs end below it.
    function _begin(bytes calldata publicKey, bytes calldata signature) private pure {
        assembly ("memory-safe") {
            if gt(mload(0x40), MEMORY_START) {
                invalid()
            }
            mstore(0x40, MEMORY_END)
            calldatacopy(KEY_INPUT, publicKey.offset, PUBLIC_KEY_SIZE)
            calldatacopy(CHALLENGE_INPUT, signature.offset, CHALLENGE_SIZE)
        }
        KeccakF1600x4.prepare();
        NumberTheoreticTransform.prepare();
        Sponge.pad(KEY_INPUT, PUBLIC_KEY_SIZE);
        Sponge.pad(CHALLENGE_INPUT, CHALLENGE_SIZE);
    }

    /// @dev After the expansion: whether z is short and the challenge is the one that w₁ and μ give.
    function _answers(bytes calldata publicKey, bytes calldata signature) private pure returns (bool) {
        if (!Arithmetic.sampleChallenge()) return false;
        if (!Arithmetic.unpackResponse(signature[CHALLENGE_SIZE:HINTS_START])) return false;
        Arithmetic.unpackTarget(publicKey[SEED_SIZE:]);
        NumberTheoreticTransform.forward(RESPONSE);
        NumberTheoreticTransform.forward(TARGET);
        Arithmetic.multiply();
        NumberTheoreticTransform.inverse(RESPONSE);
        Commitment.splitHighBits();
        Commitment.useHints(signature[HINTS_START:]);
        Commitment.encode();
        return _commitmentHash() == bytes32(signature[:CHALLENGE_SIZE]);
    }

    /// @dev H(μ ‖ w1Encode(w₁), 32).
    function _commitmentHash() private pure returns (bytes32 hash) {
        uint256 blocks = Sponge.pad(COMMITMENT_INPUT, 64 + 768);
        Sponge.reset();
        for (uint256 i = 0; i < blocks; ++i) {
            Sponge.absorb(COMMITMENT_INPUT + Sponge.RATE * i);
            KeccakF1600x4.permute();
        }
        Sponge.squeeze(KEY_INPUT, 1);
        assembly ("memory-safe") {
            hash := mload(KEY_INPUT)
        }
    }
}
