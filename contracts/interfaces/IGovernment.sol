// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICertificates} from "./ICertificates.sol";
import {IParticipants} from "./IParticipants.sol";

/// @title Government by the quorum of edge nodes
/// @notice Owns the registry once the set-up has ended. What more than half of the active edge nodes have signed happens
/// after a delay in which everybody can see it coming, and nothing happens sooner; nobody else can do anything, the
/// deployer included. A majority that is lost or has retired itself can't be brought back by anybody.
interface IGovernment {
    /// @notice One step of a decision.
    struct Call {
        address target;
        bytes data;
    }

    /// @notice Where a decision stands: None, Waiting (to be enacted from its time on), Enacted or Revoked.
    enum State {
        None,
        Waiting,
        Enacted,
        Revoked
    }

    /// @notice Emitted when the quorum has decided.
    event GovernmentDecided(uint64 indexed number, uint64 dueAt, Call[] calls);

    /// @notice Emitted when a decision is carried out.
    event GovernmentEnacted(uint64 indexed number);

    /// @notice Emitted when the quorum takes a decision back.
    event GovernmentRevoked(uint64 indexed number);

    /// @notice Emitted when the quorum admits or removes clients.
    event GovernmentClientsDecided(uint64 indexed number, uint256 allowed, uint256 removed);

    /// @notice Emitted when later decisions have to wait for another time.
    event GovernmentDelayChanged(uint32 previous, uint32 delay);

    /// @notice Emitted when the set-up ends: from here on nobody but the quorum owns the registry.
    event GovernmentTookOffice(uint256 activeEdgeNodes);

    /// @notice Thrown when the government is deployed with a value that it could not work with.
    error GovernmentImpossibleParameter(string name);

    /// @notice Thrown when no more than half of the active edge nodes have signed.
    error GovernmentQuorumMissed(uint256 signers, uint256 active);

    /// @notice Thrown when a decision has no steps.
    error GovernmentNothingDecided();

    /// @notice Thrown when a decision is not waiting: it never was made, or is enacted or revoked.
    error GovernmentNotWaiting(uint64 number, State state);

    /// @notice Thrown when a decision's time has not come.
    error GovernmentTooEarly(uint64 number, uint64 dueAt);

    /// @notice Thrown when a decision was not enacted within `GRACE` and has lapsed.
    error GovernmentTooLate(uint64 number, uint64 dueAt);

    /// @notice Thrown when other steps are shown than were decided.
    error GovernmentOtherCalls(uint64 number);

    /// @notice Thrown when a step fails; `reason` is what its target returned.
    error GovernmentCallFailed(uint256 index, bytes reason);

    /// @notice Thrown when a function is called that only a decision may call.
    error GovernmentOnlyByDecision(address caller);

    /// @notice Thrown when an edge node's endpoint is changed by other signatures than its own alone.
    error GovernmentNotItsOwn(uint16 id);

    /// @notice Thrown when office is taken while no edge node is active: nobody could ever decide anything.
    error GovernmentNobodyActive();

    /// @notice Ends the set-up, after the deployer has named this contract the registry's next owner. Anybody may call.
    function takeOffice() external;

    /// @notice Decides on steps to be taken after the delay. Anybody may relay.
    /// @param certificate Over `decisionHash(decisions() + 1, calls)`, for this contract
    /// @return number The decision's number
    function decide(Call[] calldata calls, bytes calldata certificate) external returns (uint64 number);

    /// @notice Takes the steps of a decision whose time has come, all of them or none. Anybody may call.
    function enact(uint64 number, Call[] calldata calls) external;

    /// @notice Takes a waiting decision back, at once: what stands stays as it is.
    /// @param certificate Over `revocationHash(number)`, for this contract
    function revoke(uint64 number, bytes calldata certificate) external;

    /// @notice Allows and removes clients, at once: they come and go by the day, each of them alone bears little weight,
    /// and one that floods has to be stopped. It takes the quorum all the same: an edge node that could admit clients alone
    /// could make itself the majority of a cluster.
    /// @param certificate Over `clientsHash(clientDecisions() + 1, allowed, removed)`, for this contract
    function decideClients(address[] calldata allowed, address[] calldata removed, bytes calldata certificate) external;

    /// @notice Moves an edge node to another endpoint, by its own signature alone.
    /// @param entry Over `endpointHash(id, endpointChanges(id) + 1, endpoint)`, for this contract
    function updateEndpoint(uint16 id, string calldata endpoint, bytes calldata entry) external;

    /// @notice Changes how long later decisions have to wait; not below `LEAST_DELAY`. Only by a decision.
    function setDelay(uint32 delay_) external;

    /// @notice What the quorum signs to decide.
    function decisionHash(uint64 number, Call[] calldata calls) external view returns (bytes32);

    /// @notice What the quorum signs to take a decision back.
    function revocationHash(uint64 number) external view returns (bytes32);

    /// @notice What the quorum signs to allow and remove clients.
    function clientsHash(
        uint64 number,
        address[] calldata allowed,
        address[] calldata removed
    ) external view returns (bytes32);

    /// @notice What an edge node signs to move to another endpoint.
    function endpointHash(uint16 id, uint64 number, string calldata endpoint) external view returns (bytes32);

    /// @notice Where a decision stands, and from when on it can be enacted.
    function decision(uint64 number) external view returns (State state, uint64 dueAt);

    /// @notice How many decisions there were.
    function decisions() external view returns (uint64);

    /// @notice How many decisions on clients there were.
    function clientDecisions() external view returns (uint64);

    /// @notice How often an edge node has moved.
    function endpointChanges(uint16 id) external view returns (uint64);

    /// @notice Seconds between a decision and its time.
    function delay() external view returns (uint32);

    /// @notice The shortest delay that can ever be, fixed at deployment.
    function LEAST_DELAY() external view returns (uint32);

    /// @notice Seconds after its time in which a decision can be enacted.
    function GRACE() external view returns (uint32);

    /// @notice The registry.
    function participants() external view returns (IParticipants);

    /// @notice The scheme of certificates.
    function certificates() external view returns (ICertificates);
}
