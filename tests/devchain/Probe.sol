// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
/// @notice Everything that a test wants from a contract. `probe.json` holds it compiled: solc 0.8.37, paris, runs 1, no metadata.
contract Probe {
    event Stored(address indexed sender, uint256 indexed value, bytes note);
    error ProbeRefused(uint256 value, address sender);
    uint256 public value;
    function store(uint256 value_, bytes calldata note) external { value = value_; emit Stored(msg.sender, value_, note); }
    function refuse(uint256 value_) external view { revert ProbeRefused(value_, msg.sender); }
    function complain() external pure { revert("the reason"); }
    function panic() external view returns (uint256) { return 1 / (value - value); }
    function spin() external pure { while (true) {} }
    function context() external view returns (uint256, uint256, uint256, bytes32, address, uint256) {
        return (block.number, block.timestamp, block.prevrandao, blockhash(block.number - 1), block.coinbase, block.chainid);
    }
    function fill(uint256 from, uint256 count) external { for (uint256 i = from; i < from + count; ++i) { assembly { sstore(add(i, 1000), i) } } }
}
