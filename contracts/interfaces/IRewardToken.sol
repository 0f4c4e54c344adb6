// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IBFLLedger} from "./IBFLLedger.sol";

/// @title The ERC-20 in which rewards are paid
/// @notice Minted against the ledger's rewards root only: the supply never exceeds what the ledger has recorded.
interface IRewardToken is IERC20 {
    /// @notice Emitted when rewards are paid out to an account.
    /// @param amount What was minted now
    /// @param cumulative What has been minted to the account in all
    event RewardClaimed(address indexed account, uint256 amount, uint256 cumulative);

    /// @notice Thrown when the ledger's address holds no contract.
    error RewardTokenNotAContract(address ledger);

    /// @notice Thrown when the proof does not lead from (account, cumulative) to the ledger's rewards root.
    error RewardTokenInvalidProof(address account, uint256 cumulative);

    /// @notice Thrown when everything that the proof shows has been claimed already.
    error RewardTokenAlreadyClaimed(address account, uint256 claimed);

    /// @notice Thrown when a claim would take the supply beyond the total that the ledger has recorded.
    error RewardTokenExceedsRecorded(uint256 supply, uint256 recorded);

    /// @notice Mints to `account` what it is owed and has not claimed. Anybody may call; the account gets the tokens.
    /// @param cumulative All that the account has ever been rewarded, as in its leaf
    /// @param proof Siblings from the leaf keccak256(keccak256(abi.encode(account, cumulative))) up to the rewards
    /// root, pairs hashed in ascending order
    /// @return amount What was minted
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external returns (uint256 amount);

    /// @notice What the account has claimed in all.
    function claimed(address account) external view returns (uint256);

    /// @notice The ledger whose rewards are paid.
    function ledger() external view returns (IBFLLedger);
}
