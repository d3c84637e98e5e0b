// A receipt as it is dropped: JSON of one receipt, of a list of them, or of a job's bundle. A stranger made it, so it
// is looked at field by field before anything is computed with it.

import type { TileSpec } from "../wire";

export interface Receipt {
  job: string;
  tile: number;
  attempt: number;
  node: `0x${string}`;
  commitment: `0x${string}`;
  price: bigint;
  signature: `0x${string}`;
  leaf: `0x${string}`;
  proof: `0x${string}`[] | null;
  lease: string;
  token: number;
  nodeSignature: `0x${string}`;
  secret: `0x${string}` | null;
  secretHash: `0x${string}`;
  cells: number[];
  lane: string;
  numericsClass: string;
  auditor: string | null;
  spec: TileSpec;
}

export class NoReceipt extends Error {}

/** A field that is not as the gateway writes it. */
class Malformed extends NoReceipt {
  constructor(what: string) {
    super(`${what}; take the receipt again from the job's page`);
  }
}

type Fields = Record<string, unknown>;

function hex(fields: Fields, name: string, bytes: number): `0x${string}` {
  const value = fields[name];
  if (typeof value !== "string" || !new RegExp(`^0x[0-9a-fA-F]{${bytes * 2}}$`).test(value))
    throw new Malformed(`${name} is not ${bytes} bytes of hex`);
  return value as `0x${string}`;
}

function whole(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Malformed(`${name} is no whole number`);
  return value;
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || value.length > 300) throw new Malformed(`${name} is no short text`);
  return value;
}

function numbers(value: unknown, name: string, most: number): number[] {
  if (!Array.isArray(value) || value.length > most || !value.every((one) => Number.isSafeInteger(one)))
    throw new Malformed(`${name} is no list of whole numbers`);
  return value as number[];
}

function spec(value: unknown): TileSpec {
  const fields = (typeof value === "object" && value !== null ? value : {}) as Fields;
  if (fields.kind === "infer") return { kind: "infer", first: whole(fields, "first"), count: whole(fields, "count") };
  if (fields.kind !== "render") throw new Malformed("spec is no tile");
  const rect = numbers(fields.rect, "spec.rect", 4);
  const samples = numbers(fields.samples, "spec.samples", 2);
  const frames = numbers(fields.frames, "spec.frames", 100_000);
  const [x0, y0, x1, y1] = rect;
  if (rect.length !== 4 || samples.length !== 2 || frames.length === 0) throw new Malformed("spec is no tile");
  if (x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined || x1 <= x0 || y1 <= y0)
    throw new Malformed("spec.rect is empty");
  return { kind: "render", frames, rect: [x0, y0, x1, y1], samples: [samples[0] ?? 0, samples[1] ?? 0] };
}

function receipt(value: unknown): Receipt {
  if (typeof value !== "object" || value === null) throw new Malformed("this is no receipt");
  const fields = value as Fields;
  const proof = fields.proof;
  const price = fields.price;
  if (typeof price !== "string" || !/^[0-9]{1,78}$/.test(price)) throw new Malformed("price is no amount");
  if (proof !== null && (!Array.isArray(proof) || proof.length > 128 || proof.length % 2 !== 0)) throw new Malformed("proof is no path");
  return {
    job: text(fields, "job"),
    tile: whole(fields, "tile"),
    attempt: whole(fields, "attempt"),
    node: hex(fields, "node", 20),
    commitment: hex(fields, "commitment", 32),
    price: BigInt(price),
    signature: hex(fields, "signature", 65),
    leaf: hex(fields, "leaf", 32),
    proof: proof === null ? null : proof.map((_, i) => hex(proof as unknown as Fields, String(i), 32)),
    lease: text(fields, "lease"),
    token: whole(fields, "fencing_token"),
    nodeSignature: hex(fields, "node_signature", 65),
    secret: fields.secret === null ? null : hex(fields, "secret", 32),
    secretHash: hex(fields, "secret_hash", 32),
    cells: numbers(fields.cells, "cells", 1_000_000),
    lane: text(fields, "lane"),
    numericsClass: text(fields, "numerics_class"),
    auditor: fields.auditor === null ? null : hex(fields, "auditor", 20),
    spec: spec(fields.spec),
  };
}

/** All receipts in a file. Raises NoReceipt with a line that says which field is wrong. */
export function readReceipts(file: string): Receipt[] {
  let value: unknown;
  try {
    value = JSON.parse(file);
  } catch {
    throw new NoReceipt("this file is not JSON; drop a receipt or a bundle as the job page gives it");
  }
  const inner = typeof value === "object" && value !== null && "receipts" in value ? value.receipts : value;
  const list = Array.isArray(inner) ? inner : [inner];
  if (list.length === 0) throw new NoReceipt("there is no receipt in this file: none of the job's tiles has passed yet; try later");
  return list.map((one, i) => {
    try {
      return receipt(one);
    } catch (error) {
      if (error instanceof NoReceipt && list.length > 1) throw new NoReceipt(`receipt ${i}: ${error.message}`);
      throw error;
    }
  });
}
