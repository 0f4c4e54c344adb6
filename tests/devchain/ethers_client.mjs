// Uses a node as an application with ethers does; prints what it saw as one line of JSON.
// node ethers_client.mjs URL KEY BYTECODE ABI

import { Contract, ContractFactory, JsonRpcProvider, NonceManager, Wallet, parseEther } from "ethers";

const [url, key, bytecode, abi] = process.argv.slice(2);
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 20, batchMaxCount: 20 });
const wallet = new NonceManager(new Wallet(key, provider));

const deployed = await new ContractFactory(JSON.parse(abi), bytecode, wallet).deploy();
await deployed.waitForDeployment();
const contract = new Contract(await deployed.getAddress(), JSON.parse(abi), wallet);

// ethers installs its filter after `once` has returned; a log of before that would never be heard.
const filters = new Set();
const installed = new Promise((resolve) =>
  provider.on("debug", ({ action, payload, result }) => {
    if (action === "sendRpcPayload") {
      [payload].flat().forEach((sent) => sent.method === "eth_newFilter" && filters.add(sent.id));
    } else if (action === "receiveRpcResult" && [result].flat().some((answer) => filters.has(answer.id))) {
      resolve();
    }
  }),
);
const heard = new Promise((resolve) => contract.once("Stored", (_sender, value) => resolve(Number(value))));
await installed;
const receipt = await (await contract.store(7, "0x01")).wait();
const reason = await contract.complain.staticCall().catch((error) => error.reason);
const custom = await contract.refuse.staticCall(5).catch((error) => error.revert.name);
const status = await (await contract.refuse.send(5, { gasLimit: 100000 })).wait().catch((error) => error.receipt.status);
const paid = await (await wallet.sendTransaction({ to: "0x" + "11".repeat(20), value: parseEther("1") })).wait();
const logs = await contract.queryFilter("Stored", 0);
const block = await provider.getBlock(receipt.blockNumber, true);
const [network, balance, value, fees] = await Promise.all([
  provider.getNetwork(),
  provider.getBalance("0x" + "11".repeat(20)),
  contract.value(),
  provider.getFeeData(),
]);
const unsupported = await provider.send("eth_sendTransaction", [{}]).catch((error) => error.error.message);

console.log(
  JSON.stringify({
    chainId: Number(network.chainId),
    heard: await heard,
    value: Number(value),
    reason,
    custom,
    status,
    paid: paid.status,
    balance: balance.toString(),
    logs: logs.map((log) => log.args.note),
    sameHash: block.prefetchedTransactions[0].hash === receipt.hash,
    feesAreSuggested: fees.maxFeePerGas > fees.maxPriorityFeePerGas && fees.maxPriorityFeePerGas > 0n,
    unsupported,
  }),
);
provider.destroy();
