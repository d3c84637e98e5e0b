// A receipt proven in this browser: what verification/ and `kilnet audit` check, computed again from nothing but the
// receipt and the chain. docs/proof.md says what each step means.

import {
  concat, decodeFunctionResult, encodeFunctionData, hashStruct, type Hex, keccak256, parseAbi, recoverTypedDataAddress, sha256,
  stringToBytes, toHex,
} from "viem";
import type { ChainInfo } from "../wire";
import type { Receipt } from "./receipt";

const TYPES = {
  Receipt: [
    { name: "job", type: "bytes32" },
    { name: "tile", type: "uint64" },
    { name: "attempt", type: "uint64" },
    { name: "node", type: "address" },
    { name: "commitment", type: "bytes32" },
    { name: "price", type: "uint256" },
  ],
  Commitment: [
    { name: "lease", type: "bytes32" },
    { name: "token", type: "uint64" },
    { name: "root", type: "bytes32" },
    { name: "cells", type: "uint64" },
  ],
} as const;

const ESCROW = parseAbi([
  "struct Receipt { bytes32 job; uint64 tile; uint64 attempt; address node; bytes32 commitment; uint256 price; }",
  "struct Sibling { bytes32 hash; uint256 sum; }",
  "function verifyReceipt(Receipt receipt, bytes signature, Sibling[] path) view returns (bool)",
]);
const CELL_SIDE = 8;

export interface Step {
  name: string;
  /** null: cannot be said (yet), and `detail` tells why. */
  ok: boolean | null;
  detail: string;
}

export interface PathStep {
  sibling: Hex;
  result: Hex;
  /** The price of all receipts below `result`. */
  sum: bigint;
}

export function chainJobId(job: string): Hex {
  return keccak256(stringToBytes(`kilnet/job/1:${job}`));
}

function leaseId(lease: string): Hex {
  return keccak256(stringToBytes(`kilnet/lease/1:${lease}`));
}

function message(receipt: Receipt) {
  return {
    job: chainJobId(receipt.job),
    tile: BigInt(receipt.tile),
    attempt: BigInt(receipt.attempt),
    // Without the capitals of a checksum: a wrong one is to be a check that fails, not a file that cannot be read.
    node: receipt.node.toLowerCase() as Hex,
    commitment: receipt.commitment,
    price: receipt.price,
  };
}

function domain(chain: ChainInfo) {
  return { name: "kilnet", version: "1", chainId: chain.chain_id, verifyingContract: chain.escrow as Hex };
}

export function leafOf(receipt: Receipt): Hex {
  const said = hashStruct({ types: TYPES, primaryType: "Receipt", data: message(receipt) });
  return keccak256(keccak256(concat([said, keccak256(receipt.signature)])));
}

/** The nodes beside a path, each with the sum of the prices below it: two words of the proof each. */
function siblings(proof: Hex[]): { hash: Hex; sum: bigint }[] {
  return Array.from({ length: Math.floor(proof.length / 2) }, (_, i) => ({ hash: proof[2 * i] as Hex, sum: BigInt(proof[2 * i + 1] as Hex) }));
}

/** From the leaf to the root: a node hashes both children with their sums, in order of value, so that no path needs sides. */
export function climb(leaf: Hex, price: bigint, proof: Hex[]): PathStep[] {
  const word = (node: Hex, below: bigint) => concat([node, toHex(below, { size: 32 })]).toLowerCase() as Hex;
  let [at, sum] = [leaf, price];
  return siblings(proof).map((sibling) => {
    const [a, b] = [word(at, sum), word(sibling.hash, sibling.sum)];
    at = keccak256(a < b ? concat([a, b]) : concat([b, a]));
    sum += sibling.sum;
    return { sibling: sibling.hash, result: at, sum };
  });
}

export function cellCount(receipt: Receipt): number {
  const { spec } = receipt;
  if (spec.kind === "infer") return spec.count;
  const [x0, y0, x1, y1] = spec.rect;
  return spec.frames.length * Math.ceil((x1 - x0) / CELL_SIDE) * Math.ceil((y1 - y0) / CELL_SIDE);
}

/** The cells that commitment, lease and secret draw, ascending: SHA-256 in counter mode, by rejection. */
export function drawCells(root: Hex, lease: string, secret: Hex, cells: number, probes: number): number[] {
  if (probes >= cells) return Array.from({ length: cells }, (_, i) => i);
  const seed = sha256(concat([toHex("kilnet/challenge/1"), root, leaseId(lease), secret]));
  const bound = BigInt(cells);
  const limit = ((1n << 64n) / bound) * bound;
  const drawn = new Set<number>();
  for (let counter = 0n; drawn.size < probes; counter += 1n) {
    const block = new DataView(sha256(concat([seed, toHex(counter, { size: 8 })]), "bytes").buffer);
    for (let i = 0; i < 32 && drawn.size < probes; i += 8) {
      const value = block.getBigUint64(i);
      if (value < limit) drawn.add(Number(value % bound));
    }
  }
  return [...drawn].sort((a, b) => a - b);
}

async function signer(receipt: Receipt, chain: ChainInfo): Promise<string | null> {
  try {
    return await recoverTypedDataAddress({
      domain: domain(chain), types: TYPES, primaryType: "Receipt", message: message(receipt), signature: receipt.signature,
    });
  } catch {
    return null;
  }
}

async function committer(receipt: Receipt, chain: ChainInfo, cells: number): Promise<string | null> {
  try {
    return await recoverTypedDataAddress({
      domain: domain(chain), types: TYPES, primaryType: "Commitment", signature: receipt.nodeSignature,
      message: { lease: leaseId(receipt.lease), token: BigInt(receipt.token), root: receipt.commitment, cells: BigInt(cells) },
    });
  } catch {
    return null;
  }
}

const same = (a: string | null, b: string) => a !== null && a.toLowerCase() === b.toLowerCase();

/** All that the receipt itself and the root can show. `root` and `expected` (who signs receipts) come from the chain
 * or the gateway; null where neither answers. */
export async function prove(receipt: Receipt, chain: ChainInfo, root: string | null, expected: string | null): Promise<Step[]> {
  const steps: Step[] = [];
  const leaf = leafOf(receipt);
  steps.push({
    name: "The leaf is the hash of what the receipt says",
    ok: same(leaf, receipt.leaf),
    detail: `job, tile ${receipt.tile}, attempt ${receipt.attempt}, node, commitment and price give ${leaf}`,
  });
  const signed = await signer(receipt, chain);
  steps.push({
    name: "The coordinator signed it",
    ok: signed !== null && (expected === null ? null : same(signed, expected)),
    detail: signed === null ? "the signature is malformed" : `signed by ${signed}, for escrow ${chain.escrow} on chain ${chain.chain_id}`,
  });
  const cells = cellCount(receipt);
  const node = await committer(receipt, chain, cells);
  steps.push({
    name: "The node had committed to every cell",
    ok: same(node, receipt.node),
    detail: node === null ? "the node's signature is malformed" : `${node} signed the root over ${cells.toLocaleString("en")} cells, with fencing token ${receipt.token}`,
  });
  if (receipt.secret === null) {
    const detail = "the secret is shown when the job has settled; drop the receipt again then";
    steps.push({ name: "The secret was fixed before", ok: null, detail }, { name: "Commitment and secret draw the audited cells", ok: null, detail });
  } else {
    const hash = sha256(concat([toHex("kilnet/secret/1"), receipt.secret]));
    steps.push({ name: "The secret was fixed before", ok: same(hash, receipt.secretHash), detail: `its hash went out with the lease: ${hash}` });
    const drawn = receipt.cells.length > 0 && receipt.cells.length <= cells ? drawCells(receipt.commitment, receipt.lease, receipt.secret, cells, receipt.cells.length) : [];
    steps.push({
      name: "Commitment and secret draw the audited cells",
      ok: receipt.cells.length > 0 && drawn.join() === receipt.cells.join(),
      detail: `${receipt.cells.length} of ${cells.toLocaleString("en")} cells: ${drawn.slice(0, 12).join(", ")}${drawn.length > 12 ? ", …" : ""}`,
    });
  }
  if (receipt.proof === null) {
    steps.push({ name: "The leaf hangs on the job's root", ok: null, detail: "the job has not settled yet; its root is not fixed" });
  } else {
    const path = climb(leaf, receipt.price, receipt.proof);
    const reached = path.at(-1)?.result ?? leaf;
    steps.push({
      name: "The leaf hangs on the job's root",
      ok: root === null ? null : same(reached, root),
      detail: `${path.length} hashes with their sums lead to ${reached}`,
    });
  }
  return steps;
}

/** Ask the escrow itself, without the gateway: does it take this receipt for its own signer's and its own root's? */
export async function askChain(receipt: Receipt, chain: ChainInfo): Promise<Step> {
  const name = "The escrow on chain accepts it";
  if (chain.rpc_url === null) return { name, ok: null, detail: "the operator keeps the chain private; `kilnet audit` reads it through yours" };
  if (receipt.proof === null) return { name, ok: null, detail: "the job has not settled yet" };
  const data = encodeFunctionData({
    abi: ESCROW, functionName: "verifyReceipt",
    args: [message(receipt), receipt.signature, siblings(receipt.proof)],
  });
  try {
    const answer = await fetch(chain.rpc_url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_call", params: [{ to: chain.escrow, data }, "latest"] }),
    });
    const reply = (await answer.json()) as { result?: Hex; error?: { message?: string } };
    if (reply.result === undefined) return { name, ok: false, detail: `the chain refused the call: ${reply.error?.message ?? "no reason given"}` };
    const ok = decodeFunctionResult({ abi: ESCROW, functionName: "verifyReceipt", data: reply.result });
    return { name, ok, detail: `verifyReceipt of ${chain.escrow}, asked at ${new URL(chain.rpc_url).host} by this browser` };
  } catch {
    return { name, ok: null, detail: `the chain at ${new URL(chain.rpc_url).host} does not answer this browser` };
  }
}

