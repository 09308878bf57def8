// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {RaidenMicroTransferChannels} from "../../../src/RaidenMicroTransferChannels.sol";
import {vm} from "../Vm.sol";
import {Ledger} from "./Ledger.sol";
import {Proofs} from "./Proofs.sol";

/// @dev Code to stand at an address that must have some; the test speaks in its name.
contract Speaker {}

/// @title Who takes part, how one acts, and what the token is like.
/// @dev Every call is predicted: one that does not end as predicted reverts, and that fails the run.
abstract contract Actors is Ledger {
    uint32 internal constant CHALLENGE_PERIOD = 500;
    uint192 internal constant LIMIT = 100 ether;
    uint256 internal constant STRANGER_KEY = 0xc2;

    ERC20 public immutable token;
    RaidenMicroTransferChannels public immutable channels;

    /// @notice The first three send, the last three receive; so one does both, to itself as well.
    address[5] public people;
    /// @notice Opens channels for others while it is trusted.
    address public immutable delegate = address(new Speaker());
    /// @notice Never trusted.
    address public immutable impostor = address(new Speaker());
    address public immutable stranger = vm.addr(STRANGER_KEY);

    mapping(address => uint256) internal keys;
    bool internal trusted;

    /// @param _token whose whole supply the caller sends to this contract next, before `fund`.
    constructor(ERC20 _token, uint32 first_block) {
        token = _token;
        channels = new RaidenMicroTransferChannels(address(_token), CHALLENGE_PERIOD, new address[](0));
        for (uint256 i = 0; i < people.length; i++) {
            people[i] = vm.addr(0xa0 + i);
            keys[people[i]] = 0xa0 + i;
        }
        advanceTo(first_block);
    }

    /// @notice Shares out the tokens: to the senders, the delegate and those who try to cheat with theirs.
    function fund() external {
        address[6] memory payers = [people[0], people[1], people[2], delegate, impostor, stranger];
        uint256 share = token.balanceOf(address(this)) / payers.length;
        for (uint256 i = 0; i < payers.length; i++) {
            require(act(address(this), address(token), abi.encodeCall(ERC20.transfer, (payers[i], share))), "fund");
            bytes memory approval = abi.encodeCall(ERC20.approve, (address(channels), type(uint256).max));
            require(act(payers[i], address(token), approval), "approve");
            held[payers[i]] = share;
        }
        held[address(this)] = token.balanceOf(address(this));
    }

    // The token, as its suite describes it; by default it moves exact amounts for everyone

    /// @dev What a payer loses when it pays `amount`.
    function cost(uint256 amount) public view virtual returns (uint256) {
        return amount;
    }

    /// @dev What arrives of `amount`.
    function net(uint256 amount) public view virtual returns (uint256) {
        return amount;
    }

    /// @dev Whether the token lets `from` pay `to`.
    function allows(address, address) public view virtual returns (bool) {
        return true;
    }

    /// @notice Makes the token pay out to everyone again.
    function relent() external virtual {}

    // What must be

    function takes(address payer, uint256 amount) internal view returns (bool) {
        return amount == 0 || (allows(payer, address(channels)) && net(amount) == amount);
    }

    function gives(address to, uint256 amount) internal view returns (bool) {
        return amount == 0 || (allows(address(channels), to) && cost(amount) == amount);
    }

    function givesBoth(Entry memory e, uint192 balance) internal view returns (bool) {
        return gives(e.receiver, balance - e.withdrawn) && gives(e.sender, e.deposit - balance);
    }

    // How one acts

    /// @dev A call that must succeed or fail as `expected`; counted when it succeeds.
    function step(string memory name, address caller, address target, bytes memory data, bool expected)
        internal
        returns (bool)
    {
        bool success = act(caller, target, data);
        if (success != expected) revert(string.concat(name, success ? ": accepted" : ": refused"));
        if (success) done[name]++;
        return success;
    }

    /// @dev A call that must fail; counted when the honest one in its place would succeed.
    function attack(string memory name, address caller, bytes memory data, bool honest_would_do) internal {
        if (act(caller, address(channels), data)) revert(string.concat(name, ": accepted"));
        if (honest_would_do) done[name]++;
    }

    function act(address caller, address target, bytes memory data) internal virtual returns (bool success) {
        vm.prank(caller);
        (success, ) = target.call(data);
    }

    function advanceTo(uint32 block_number) internal {
        height = block_number;
        vm.roll(block_number);
    }

    // What the parties sign

    /// @notice The channel's balance proof for `balance`.
    function proof(Entry memory e, uint192 balance) public view returns (bytes memory) {
        return Proofs.balanceProof(keys[e.sender], e.receiver, e.open_block, balance, address(channels));
    }

    /// @notice The channel's closing signature for `balance`.
    function closing(Entry memory e, uint192 balance) public view returns (bytes memory) {
        return Proofs.closing(keys[e.receiver], e.sender, e.open_block, balance, address(channels));
    }

    /// @notice What anyone sends who has both signatures.
    function closeTogether(Entry memory e, uint192 balance) public view returns (bytes memory) {
        return closeWith(e, balance, proof(e, balance), closing(e, balance));
    }

    function closeWith(Entry memory e, uint192 balance, bytes memory balance_proof, bytes memory closing_signature)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            channels.cooperativeClose, (e.receiver, e.open_block, balance, balance_proof, closing_signature)
        );
    }
}
