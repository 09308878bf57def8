// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "../../../src/Token.sol";
import {RaidenMicroTransferChannels} from "../../../src/RaidenMicroTransferChannels.sol";
import {vm} from "../Vm.sol";
import {Attacks} from "./Attacks.sol";
import {Ledger} from "./Ledger.sol";
import {Steps} from "./Steps.sol";

/// @dev The cheatcodes that take the whole chain back.
interface VmState {
    function snapshotState() external returns (uint256 id);
    function revertToStateAndDelete(uint256 id) external returns (bool success);
}

/// @title What holds for the contract after any sequence of steps, for every kind of token.
/// @dev A suite names its token's handler, and must itself ask forge to `fail-on-revert`, since a handler reverts when
/// a call did not end as predicted. For a long run: FOUNDRY_INVARIANT_RUNS=1000 FOUNDRY_INVARIANT_DEPTH=250.
abstract contract ChannelInvariants {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    uint32 internal constant FIRST_BLOCK = 4_804_175;
    VmState private constant state = VmState(address(vm));

    Attacks internal handler;
    ERC20 internal token;
    RaidenMicroTransferChannels internal channels;

    function setUp() external {
        handler = deploy();
        token = handler.token();
        channels = handler.channels();
        (bool success, ) =
            address(token).call(abi.encodeCall(ERC20.transfer, (address(handler), token.balanceOf(address(this)))));
        require(success, "fund the handler");
        handler.fund();
    }

    /// @dev A handler whose token has given its whole supply to this contract.
    function deploy() internal virtual returns (Attacks);

    /// @dev The step that only such a token has, and the name under which it is counted.
    function ownStep() internal pure virtual returns (bytes4 selector, string memory name) {
        return (Steps.advance.selector, "advance");
    }

    // What forge draws from

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        list[0] = FuzzSelector(address(handler), steps());
    }

    function steps() private pure returns (bytes4[] memory list) {
        bytes4[19] memory common = [
            Steps.openChannel.selector,
            Steps.openChannel.selector,
            Steps.topUp.selector,
            Steps.pay.selector,
            Steps.withdraw.selector,
            Steps.cooperativeClose.selector,
            Steps.uncooperativeClose.selector,
            Steps.settle.selector,
            Steps.advance.selector,
            Steps.trust.selector,
            Steps.loseTokens.selector,
            Attacks.forgeProof.selector,
            Attacks.forgeClosing.selector,
            Attacks.meddle.selector,
            Attacks.feignDeposit.selector,
            Attacks.grabTrust.selector,
            Attacks.replay.selector,
            Attacks.reuseKey.selector,
            Attacks.shoot.selector
        ];
        list = new bytes4[](common.length + 1);
        for (uint256 i = 0; i < common.length; i++) list[i] = common[i];
        (list[common.length], ) = ownStep();
    }

    // The invariants, in one campaign: forge would draw the same sequences once more for each

    function invariant_HoldsAfterAnySequence() public {
        Ledger.Entry[] memory entries = handler.all();
        theContractHoldsWhatItOwes();
        nobodyButThePartiesGains();
        eachChannelPaysItsDepositOnce(entries);
        withdrawnIsWithinBalanceWithinDeposit(entries);
        aSettledKeyNeverOpensAgain(entries);
        if (entries.length == 0) return;
        attempt(theReceiverCanGetTheBestBalance, handler.touched());
        attempt(theDepositIsRecoverable, handler.touched());
    }

    /// @dev At the end of a sequence, of all channels what after each step was tried of one.
    function afterInvariant() external {
        for (uint256 i = 0; i < handler.count(); i++) {
            attempt(theReceiverCanGetTheBestBalance, i);
            attempt(theDepositIsRecoverable, i);
        }
    }

    /// @dev The contract's tokens are the open deposits less withdrawals, and what came by mistake.
    function theContractHoldsWhatItOwes() private view {
        vm.assertEq(token.balanceOf(address(channels)), handler.owed() + handler.stray(), "tokens of the contract");
    }

    /// @dev Parties have what their channels paid them; delegates and strangers never gain.
    function nobodyButThePartiesGains() private view {
        for (uint256 i = 0; i < 5; i++) checkHoldings(handler.people(i), "tokens of a party");
        checkHoldings(handler.delegate(), "tokens of the delegate");
        checkHoldings(handler.impostor(), "tokens of an impostor");
        checkHoldings(handler.stranger(), "tokens of a stranger");
        checkHoldings(address(handler), "tokens of the owner");
    }

    /// @dev Each channel pays out its deposit, once; until then, only what was withdrawn.
    function eachChannelPaysItsDepositOnce(Ledger.Entry[] memory entries) private pure {
        for (uint256 i = 0; i < entries.length; i++) {
            Ledger.Entry memory e = entries[i];
            vm.assertEq(e.paid, e.settled ? e.deposit : e.withdrawn, "paid for a channel");
        }
    }

    /// @dev Withdrawn is at most the balance, and both at most the deposit; all is as the steps made it.
    function withdrawnIsWithinBalanceWithinDeposit(Ledger.Entry[] memory entries) private view {
        for (uint256 i = 0; i < entries.length; i++) {
            Ledger.Entry memory e = entries[i];
            if (e.settled) continue;
            (, uint192 deposit, uint32 settle_block, uint192 claim, uint192 withdrawn) =
                channels.getChannelInfo(e.sender, e.receiver, e.open_block);
            vm.assertEq(deposit, e.deposit, "deposit");
            vm.assertEq(settle_block, e.settle_block, "settle block");
            vm.assertEq(claim, e.claim, "claim");
            vm.assertEq(withdrawn, e.withdrawn, "withdrawn");
            vm.assertLe(withdrawn, e.best, "withdrawn against balance");
            vm.assertLe(e.best, deposit, "balance against deposit");
            vm.assertLe(claim, deposit, "claim against deposit");
        }
    }

    /// @dev A settled key stays empty, in its own block too.
    function aSettledKeyNeverOpensAgain(Ledger.Entry[] memory entries) private view {
        for (uint256 i = 0; i < entries.length; i++) {
            Ledger.Entry memory e = entries[i];
            if (!e.settled) continue;
            bytes32 key = keccak256(abi.encodePacked(e.sender, e.receiver, e.open_block));
            (uint192 deposit, uint32 open_block) = channels.channels(key);
            (uint192 claim, uint32 settle_block) = channels.closing_requests(key);
            vm.assertEq(deposit + open_block + claim + settle_block, 0, "state of a settled channel");
        }
    }

    /// @dev Until a channel is settled its receiver can always get the best proof's balance, whoever brings it.
    function theReceiverCanGetTheBestBalance(Ledger.Entry memory e) private {
        vm.roll(handler.height() + 1);
        must(handler.stranger(), handler.closeTogether(e, e.best), "the best proof was refused");
        checkPaid(e, e.best);
    }

    /// @dev Without the receiver's help, the sender gets what it does not owe back within bounded blocks.
    function theDepositIsRecoverable(Ledger.Entry memory e) private {
        uint32 settle_block = e.settle_block;
        if (settle_block == 0) {
            settle_block = handler.height() + channels.challenge_period();
            bytes memory close = abi.encodeCall(channels.uncooperativeClose, (e.receiver, e.open_block, 0));
            must(e.sender, close, "the close was refused");
        }
        if (handler.height() <= settle_block) vm.roll(settle_block + 1);
        must(e.sender, abi.encodeCall(channels.settle, (e.receiver, e.open_block)), "the settlement was refused");
        checkPaid(e, e.claim < e.withdrawn ? e.withdrawn : e.claim);
    }

    /// @dev So that the invariants are not vacuous: every kind of step is within reach of a random sequence.
    function test_EveryStepDoesWhatItIsFor() external {
        bytes4[] memory list = steps();
        bytes32 seed = keccak256("steps");
        for (uint256 i = 0; i < 3000; i++) {
            seed = keccak256(abi.encode(seed));
            bytes memory numbers = abi.encode(
                keccak256(abi.encode(seed, 1)), keccak256(abi.encode(seed, 2)), keccak256(abi.encode(seed, 3))
            );
            (bool success, bytes memory reason) =
                address(handler).call(abi.encodePacked(list[uint256(seed) % list.length], numbers));
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(reason, 32), mload(reason))
                }
            }
        }
        string[39] memory names = stepNames();
        (, string memory own) = ownStep();
        vm.assertGe(handler.done(own), 5, own);
        for (uint256 i = 0; i < names.length; i++) {
            vm.assertGe(handler.done(names[i]), 5, names[i]);
        }
        invariant_HoldsAfterAnySequence();
    }

    function stepNames() private pure returns (string[39] memory) {
        return [
            "open by ERC20",
            "open by ERC223",
            "open by delegate, ERC20",
            "open by delegate, ERC223",
            "top up by ERC20",
            "top up by ERC223",
            "top up by delegate, ERC20",
            "top up by delegate, ERC223",
            "pay",
            "withdraw",
            "cooperative close",
            "cooperative close in challenge",
            "uncooperative close",
            "settle",
            "settle below withdrawn",
            "trust",
            "lose tokens",
            "forge proof",
            "forge proof to close",
            "forge closing",
            "withdraw another's",
            "close another's",
            "settle another's",
            "top up another's",
            "feign a transfer",
            "feign a delegate",
            "feign a delegate's top up",
            "deposit in another's name",
            "misshapen data",
            "grab trust",
            "revoke trust",
            "replay proof",
            "replay close",
            "settle twice",
            "close when settled",
            "top up when settled",
            "settle in open block",
            "open twice",
            "shoot"
        ];
    }

    // What the invariants are made of

    function checkHoldings(address who, string memory text) private view {
        vm.assertEq(token.balanceOf(who), handler.held(who), text);
    }

    /// @dev Tries what must be possible with an open channel, on a chain of its own where the token pays everyone.
    function attempt(function(Ledger.Entry memory) internal possible, uint256 index) private {
        Ledger.Entry memory e = handler.entry(index);
        if (e.settled) return;
        uint256 id = state.snapshotState();
        handler.relent();
        possible(e);
        state.revertToStateAndDelete(id);
    }

    function must(address caller, bytes memory call, string memory text) private {
        vm.prank(caller);
        (bool success, ) = address(channels).call(call);
        vm.assertTrue(success, text);
    }

    /// @dev The channel was settled at `balance` and paid both parties.
    function checkPaid(Ledger.Entry memory e, uint192 balance) private view {
        uint256 left = handler.owed() - (e.deposit - e.withdrawn) + handler.stray();
        vm.assertEq(token.balanceOf(address(channels)), left, "tokens left in the contract");
        uint256 to_receiver = handler.net(balance - e.withdrawn);
        uint256 to_sender = handler.net(e.deposit - balance);
        if (e.sender == e.receiver) (to_receiver, to_sender) = (to_receiver + to_sender, to_receiver + to_sender);
        vm.assertEq(token.balanceOf(e.receiver), handler.held(e.receiver) + to_receiver, "tokens for the receiver");
        vm.assertEq(token.balanceOf(e.sender), handler.held(e.sender) + to_sender, "tokens for the sender");
    }
}
