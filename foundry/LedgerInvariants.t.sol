// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {LedgerHandler} from "./LedgerHandler.sol";

/// @notice What holds after every call, whatever participants have done. The handler itself fails the run when a call is
/// taken that should not be, or the other way round.
contract LedgerInvariants {
    LedgerHandler private _handler;
    uint64 private _height;
    uint64 private _anchor;

    function setUp() external {
        _handler = new LedgerHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev One function, because Foundry makes all its calls anew for each.
    function invariant_everythingHolds() external {
        _heightsAndAnchorsOnlyGrow();
        _rewardsAreConserved();
        _stakesAreConserved();
        _theQuorumCountsTheActive();
        // An honest majority can always append: nobody can block it.
        _handler.probe();
    }

    function _heightsAndAnchorsOnlyGrow() private {
        (uint64 number, uint64 anchor, ) = _handler.ledgerState();
        require(number == _handler.height() && number >= _height, "height");
        require(anchor == _handler.anchor() && anchor >= _anchor && anchor <= number, "anchor");
        (_height, _anchor) = (number, anchor);
    }

    function _rewardsAreConserved() private view {
        (, , uint256 total) = _handler.ledgerState();
        require(total == _handler.expectedTotal(), "recorded");
        require(_handler.supply() == _handler.minted() && _handler.supply() <= total, "supply");
    }

    function _stakesAreConserved() private view {
        (uint256 stakes, uint256 balance) = _handler.stakesHeld();
        require(balance == _handler.deposited() - _handler.paidOut(), "balance");
        require(stakes <= balance, "stakes are not covered");
    }

    function _theQuorumCountsTheActive() private view {
        (uint256 counted, uint256 expected) = _handler.quorum();
        require(counted == expected && counted > 0, "quorum");
        require(_handler.isGoverned(), "owner");
    }
}
