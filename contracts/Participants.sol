// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IParticipants} from "./interfaces/IParticipants.sol";

contract Participants is IParticipants, Ownable2Step {
    enum Admission {
        Unknown,
        Allowed,
        Removed
    }

    /// One slot. Keys that a client had remain: what they signed may still be questioned.
    struct Client {
        Admission admission;
        bool registered;
        uint32 keys;
    }

    /// One slot, so that a quorum costs one storage read a signer.
    struct Membership {
        uint16 id;
        bool active;
    }

    struct Profile {
        address account;
        bytes32 signatureKeyDigest;
        bytes32 encapsulationKeyDigest;
        string endpoint;
    }

    /// @inheritdoc IParticipants
    uint256 public constant MAX_ENDPOINT_LENGTH = 256;

    /// @inheritdoc IParticipants
    bool public immutable openRegistration;

    /// @inheritdoc IParticipants
    mapping(address client => mapping(uint256 index => bytes32)) public clientKeyAt;
    mapping(address client => Client) private _clients;

    mapping(address account => Membership) private _memberships;
    mapping(uint16 id => Profile) private _profiles;
    uint16 private _lastId;
    uint16 private _active;

    constructor(address initialOwner, bool openRegistration_) Ownable(initialOwner) {
        openRegistration = openRegistration_;
    }

    /// @inheritdoc IParticipants
    function allowClients(address[] calldata clients) external onlyOwner {
        for (uint256 i = 0; i < clients.length; ++i) {
            if (clients[i] == address(0)) revert ParticipantsZeroAccount();
            _clients[clients[i]].admission = Admission.Allowed;
            emit ClientAllowed(clients[i]);
        }
    }

    /// @inheritdoc IParticipants
    function removeClient(address client) external onlyOwner {
        Client storage known = _clients[client];
        if (known.admission != Admission.Allowed && !known.registered) revert ParticipantsUnknownClient(client);
        known.admission = Admission.Removed;
        known.registered = false;
        emit ClientRemoved(client);
    }

    /// @inheritdoc IParticipants
    function registerClient(bytes32 keyDigest) external {
        Client memory client = _clients[msg.sender];
        if (!_isAllowed(client.admission)) revert ParticipantsClientNotAllowed(msg.sender);
        if (keyDigest == 0) revert ParticipantsZeroKeyDigest();
        if (client.registered) emit ClientKeyRotated(msg.sender, clientKeyAt[msg.sender][client.keys - 1], keyDigest);
        else emit ClientRegistered(msg.sender, keyDigest);
        clientKeyAt[msg.sender][client.keys++] = keyDigest;
        client.registered = true;
        _clients[msg.sender] = client;
    }

    /// @inheritdoc IParticipants
    function admitEdgeNode(
        address account,
        bytes32 signatureKeyDigest,
        bytes32 encapsulationKeyDigest,
        string calldata endpoint
    ) external onlyOwner returns (uint16 id) {
        if (account == address(0)) revert ParticipantsZeroAccount();
        if (signatureKeyDigest == 0 || encapsulationKeyDigest == 0) revert ParticipantsZeroKeyDigest();
        if (_memberships[account].active) revert ParticipantsAlreadyActive(account);
        if (_lastId == type(uint16).max) revert ParticipantsFull();
        _requireEndpoint(endpoint);
        id = ++_lastId;
        ++_active;
        _memberships[account] = Membership(id, true);
        _profiles[id] = Profile(account, signatureKeyDigest, encapsulationKeyDigest, endpoint);
        emit EdgeNodeAdmitted(id, account, signatureKeyDigest, encapsulationKeyDigest, endpoint);
    }

    /// @inheritdoc IParticipants
    function retireEdgeNode(uint16 id) external onlyOwner {
        address account = _activeProfile(id).account;
        _memberships[account].active = false;
        --_active;
        emit EdgeNodeRetired(id, account);
    }

    /// @inheritdoc IParticipants
    function replaceEdgeNodeKeys(
        uint16 id,
        bytes32 signatureKeyDigest,
        bytes32 encapsulationKeyDigest
    ) external onlyOwner {
        if (signatureKeyDigest == 0 || encapsulationKeyDigest == 0) revert ParticipantsZeroKeyDigest();
        Profile storage profile = _activeProfile(id);
        profile.signatureKeyDigest = signatureKeyDigest;
        profile.encapsulationKeyDigest = encapsulationKeyDigest;
        emit EdgeNodeKeysReplaced(id, signatureKeyDigest, encapsulationKeyDigest);
    }

    /// @inheritdoc IParticipants
    function updateEndpoint(uint16 id, string calldata endpoint) external onlyOwner {
        _requireEndpoint(endpoint);
        _activeProfile(id).endpoint = endpoint;
        emit EdgeNodeEndpointUpdated(id, endpoint);
    }

    /// @inheritdoc IParticipants
    function isClientAllowed(address client) external view returns (bool) {
        return _isAllowed(_clients[client].admission);
    }

    /// @inheritdoc IParticipants
    function clientKeyDigest(address client) external view returns (bytes32) {
        Client memory known = _clients[client];
        return known.registered ? clientKeyAt[client][known.keys - 1] : bytes32(0);
    }

    /// @inheritdoc IParticipants
    function clientKeyCount(address client) external view returns (uint256) {
        return _clients[client].keys;
    }

    /// @inheritdoc IParticipants
    function edgeNode(uint16 id) external view returns (EdgeNode memory) {
        Profile storage profile = _profile(id);
        Membership memory membership = _memberships[profile.account];
        return
            EdgeNode({
                account: profile.account,
                active: membership.active && membership.id == id,
                signatureKeyDigest: profile.signatureKeyDigest,
                encapsulationKeyDigest: profile.encapsulationKeyDigest,
                endpoint: profile.endpoint
            });
    }

    /// @inheritdoc IParticipants
    function edgeNodeId(address account) external view returns (uint16) {
        return _memberships[account].id;
    }

    /// @inheritdoc IParticipants
    function lastEdgeNodeId() external view returns (uint16) {
        return _lastId;
    }

    /// @inheritdoc IParticipants
    function activeEdgeNodes() external view returns (uint256) {
        return _active;
    }

    /// @inheritdoc IParticipants
    function isActive(address account) external view returns (bool) {
        return _memberships[account].active;
    }

    /// @inheritdoc IParticipants
    function requireActive(address[] calldata accounts) external view returns (uint256 active) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (!_memberships[accounts[i]].active) revert ParticipantsNotActive(accounts[i]);
        }
        return _active;
    }

    function _isAllowed(Admission admission) private view returns (bool) {
        return admission == Admission.Allowed || (openRegistration && admission == Admission.Unknown);
    }

    function _profile(uint16 id) private view returns (Profile storage) {
        if (id == 0 || id > _lastId) revert ParticipantsUnknownEdgeNode(id);
        return _profiles[id];
    }

    function _activeProfile(uint16 id) private view returns (Profile storage profile) {
        profile = _profile(id);
        Membership memory membership = _memberships[profile.account];
        // An account admitted again has a newer id; its old ones stay retired.
        if (membership.id != id || !membership.active) revert ParticipantsNotActive(profile.account);
    }

    function _requireEndpoint(string calldata endpoint) private pure {
        uint256 length = bytes(endpoint).length;
        if (length == 0 || length > MAX_ENDPOINT_LENGTH) revert ParticipantsEndpointLength(length);
    }
}
