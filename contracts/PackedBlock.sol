// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBFLLedger} from "./interfaces/IBFLLedger.sol";

/// @title The bytes of transaction sets and reward lists
/// @notice Transaction: client (20), receiver (2), gradient digest (32), signature digest (32). Reward: account (20),
/// amount (12). Integers are big-endian.
library PackedBlock {
    uint256 internal constant TRANSACTION_SIZE = 86;
    uint256 internal constant REWARD_SIZE = 32;

    /// @notice The sum over a reward list of whole entries, fewer than 2^17. Reverts with LedgerZeroReward.
    function sum(bytes calldata rewardList) internal pure returns (uint256 total) {
        uint256 length = rewardList.length;
        // Fewer than 2^17 amounts below 2^96 are summed: no overflow.
        unchecked {
            for (uint256 start = 0; start < length; start += REWARD_SIZE) {
                bytes32 packed;
                // A slice would check its bounds again for every entry.
                assembly ("memory-safe") {
                    packed := calldataload(add(rewardList.offset, start))
                }
                uint256 amount = uint96(uint256(packed));
                if (amount == 0) revert IBFLLedger.LedgerZeroReward(address(bytes20(packed)));
                total += amount;
            }
        }
    }

    /// @notice The transaction in TRANSACTION_SIZE bytes.
    function toTransaction(bytes memory packed) internal pure returns (IBFLLedger.Transaction memory) {
        return
            IBFLLedger.Transaction({
                client: address(bytes20(_word(packed, 0))),
                receiver: uint16(bytes2(_word(packed, 20))),
                gradientDigest: _word(packed, 22),
                signatureDigest: _word(packed, 54)
            });
    }

    /// @notice The reward in REWARD_SIZE bytes.
    function toReward(bytes memory packed) internal pure returns (IBFLLedger.Reward memory) {
        bytes32 word = _word(packed, 0);
        return IBFLLedger.Reward({account: address(bytes20(word)), amount: uint96(uint256(word))});
    }

    function _word(bytes memory data, uint256 start) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 0x20), start))
        }
    }
}
