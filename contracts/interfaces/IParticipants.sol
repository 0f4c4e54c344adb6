// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The registry of clients and edge nodes, with the digests of their post-quantum keys
/// @notice Digests are SHA-256 over the raw public key. The owner is the deployer during the
/// set-up, and the edge nodes' quorum (IGovernment) from then on.
interface IParticipants {
    /// @notice An edge node as the registry knows it.
    /// @param account Ledger account; signs certificates and is named by sealed headers
    /// @param active False once retired
    /// @param signatureKeyDigest Digest of the ML-DSA key (FIPS 204) that signs receipts
    /// @param encapsulationKeyDigest Digest of the ML-KEM key (FIPS 203) that uploads are encrypted to
    /// @param endpoint Where clients and the other edge nodes reach it, a URL
    struct EdgeNode {
        address account;
        bool active;
        bytes32 signatureKeyDigest;
        bytes32 encapsulationKeyDigest;
        string endpoint;
    }

    /// @notice Emitted when the owner allows a client to register.
    event ClientAllowed(address indexed client);

    /// @notice Emitted when a client registers its first key since it was allowed.
    event ClientRegistered(address indexed client, bytes32 keyDigest);

    /// @notice Emitted when a registered client replaces its key.
    event ClientKeyRotated(address indexed client, bytes32 previousKeyDigest, bytes32 keyDigest);

    /// @notice Emitted when the owner removes a client, registered or not.
    event ClientRemoved(address indexed client);

    /// @notice Emitted when the owner admits an edge node; the quorum grows with it.
    event EdgeNodeAdmitted(
        uint16 indexed id,
        address indexed account,
        bytes32 signatureKeyDigest,
        bytes32 encapsulationKeyDigest,
        string endpoint
    );

    /// @notice Emitted when the owner retires an edge node; the quorum shrinks with it.
    event EdgeNodeRetired(uint16 indexed id, address indexed account);

    /// @notice Emitted when an edge node gets other keys.
    event EdgeNodeKeysReplaced(uint16 indexed id, bytes32 signatureKeyDigest, bytes32 encapsulationKeyDigest);

    /// @notice Emitted when an edge node moves to another endpoint.
    event EdgeNodeEndpointUpdated(uint16 indexed id, string endpoint);

    /// @notice Thrown when a client registers that the owner has not allowed, or has removed.
    error ParticipantsClientNotAllowed(address client);

    /// @notice Thrown when a client is removed that was neither allowed nor registered.
    error ParticipantsUnknownClient(address client);

    /// @notice Thrown when the digest of a key is zero.
    error ParticipantsZeroKeyDigest();

    /// @notice Thrown when the account of a client or edge node is the zero address.
    error ParticipantsZeroAccount();

    /// @notice Thrown when an edge node is admitted whose account is active already.
    error ParticipantsAlreadyActive(address account);

    /// @notice Thrown when an account is not that of an active edge node.
    error ParticipantsNotActive(address account);

    /// @notice Thrown when an edge node id was never given out.
    error ParticipantsUnknownEdgeNode(uint16 id);

    /// @notice Thrown when an endpoint is empty or longer than `MAX_ENDPOINT_LENGTH` bytes.
    error ParticipantsEndpointLength(uint256 length);

    /// @notice Thrown when all 65,535 edge node ids have been given out.
    error ParticipantsFull();

    /// @notice Allows clients to register, those included that were removed before. Owner only.
    function allowClients(address[] calldata clients) external;

    /// @notice Removes a client and its key; it can register again only after `allowClients`. Owner only.
    function removeClient(address client) external;

    /// @notice Registers the caller as a client, or replaces its key.
    function registerClient(bytes32 keyDigest) external;

    /// @notice Admits an edge node under a new id. Ids count from 1 and are never reused. Owner only.
    function admitEdgeNode(
        address account,
        bytes32 signatureKeyDigest,
        bytes32 encapsulationKeyDigest,
        string calldata endpoint
    ) external returns (uint16 id);

    /// @notice Retires an active edge node. Owner only.
    function retireEdgeNode(uint16 id) external;

    /// @notice Gives an active edge node other keys, for receipts and for encryption. Owner only.
    function replaceEdgeNodeKeys(uint16 id, bytes32 signatureKeyDigest, bytes32 encapsulationKeyDigest) external;

    /// @notice Moves an active edge node to another endpoint. Owner only; the government takes the edge node's signature.
    function updateEndpoint(uint16 id, string calldata endpoint) external;

    /// @notice Whether every account may register (development), instead of only those that were allowed.
    function openRegistration() external view returns (bool);

    /// @notice Longest endpoint, in bytes.
    function MAX_ENDPOINT_LENGTH() external view returns (uint256);

    /// @notice Whether `client` could register now.
    function isClientAllowed(address client) external view returns (bool);

    /// @notice Digest of a client's ML-DSA key; zero when it is not registered.
    function clientKeyDigest(address client) external view returns (bytes32);

    /// @notice How many keys a client has registered in all; a removed one keeps its past.
    function clientKeyCount(address client) external view returns (uint256);

    /// @notice Digest of the key that a client registered as its `index`th, from 0; zero if there was none.
    function clientKeyAt(address client, uint256 index) external view returns (bytes32);

    /// @notice The edge node with that id, retired ones included.
    function edgeNode(uint16 id) external view returns (EdgeNode memory);

    /// @notice The newest id of an account; zero when it was never admitted.
    function edgeNodeId(address account) external view returns (uint16);

    /// @notice The highest id given out so far.
    function lastEdgeNodeId() external view returns (uint16);

    /// @notice How many edge nodes are active.
    function activeEdgeNodes() external view returns (uint256);

    /// @notice Whether the account is that of an active edge node.
    function isActive(address account) external view returns (bool);

    /// @notice Reverts with ParticipantsNotActive unless every account is that of an active edge node.
    /// @return active How many edge nodes are active in all
    function requireActive(address[] calldata accounts) external view returns (uint256 active);
}
