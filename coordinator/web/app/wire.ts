// What the gateway answers: the views of jobs/wire.py that the page reads. Amounts are strings of 10^-18 KILN.

export type Units = string;
export type Lane = "exact" | "tolerant" | "whole" | "perceptual";
export type Verdict = "accept" | "reject" | "escalate";
export type TileState = "held" | "pending" | "leased" | "checking" | "done" | "failed" | "cancelled";

export interface ChainInfo {
  chain_id: number;
  token: string;
  escrow: string;
  distributor: string;
  rpc_url: string | null;
}

export interface Info {
  version: string;
  origin: string;
  chain: ChainInfo | null;
  kiln_per_usd: string;
  nodes_online: number;
}

export interface Quote {
  price: Units;
  cap: Units;
  price_usd: string;
  cap_usd: string;
  kiln_hours: number;
  lane: Lane;
  proven: string;
  warnings: string[];
}

export interface Settlement {
  price: Units;
  burned: Units;
  fee: Units;
  refund: Units;
  receipt_root: string;
  settlement_tx: string | null;
  epoch: number | null;
  reward_root: string | null;
  reward_tx: string | null;
}

export interface Rejection {
  node: string;
  tile: number;
  attempt: number;
  reason: string;
}

export interface JobView {
  id: string;
  kind: "render" | "infer";
  name: string;
  state: string;
  error: string | null;
  error_code: string | null;
  advice: string | null;
  created_at: number;
  deadline: number | null;
  quote: Quote | null;
  tiles: number;
  tiles_passed: number;
  cells_audited: number;
  progress: number;
  eta_seconds: number | null;
  compute_seconds: number;
  audit_seconds: number;
  rejections: Rejection[];
  settlement: Settlement | null;
  rewards: { node: string; amount: Units }[];
  waiting_for: string | null;
  lanes: Partial<Record<Lane, number>>;
  priority: number;
  lowered_cap_usd: string | null;
}

/** How far a frame has come: pixels covered 0..1, samples of those, noise as a share of white. */
export interface FrameLook {
  covered: number;
  samples: number;
  noise: number | null;
}

/** Somewhere that is told of the account's jobs. */
export interface Target {
  id: string;
  kind: "webhook" | "email";
  address: string;
  events: string[];
  confirmed: boolean;
  sent: number;
  waiting: number;
  given_up: number;
  last_error: string | null;
}

export interface TargetAdded {
  secret: string | null;
  target: Target;
}

export interface JobFacts {
  frames: number[];
  window: [number, number, number, number] | null;
  width: number;
  height: number;
  samples: number;
  cell_side: number;
  engine: string;
  runtime: string;
  reference_frame: number | null;
  items: number;
  spent: Units;
}

export type TileSpec =
  | { kind: "render"; frames: number[]; rect: [number, number, number, number]; samples: [number, number] }
  | { kind: "infer"; first: number; count: number };

export interface TileView {
  index: number;
  tile: TileSpec;
  state: TileState;
  node: string | null;
  attempts: number;
  lane: Lane | null;
  verdict: Verdict | null;
  price: Units;
  progress: number;
  seconds: number | null;
}

export interface Attempt {
  attempt: number;
  node: string;
  node_name: string;
  state: string;
  started_at: number;
  finished_at: number | null;
  seconds: number | null;
  progress: number;
  detail: string;
  lane: Lane | null;
  verdict: Verdict | null;
  reason: string | null;
  cells: number[];
  evidence: Record<string, unknown>;
  numerics_class: string;
}

export interface Audited {
  tile: number;
  attempt: number;
  verdict: Verdict;
  cells: number[];
  differing: number[];
}

export interface LogEntry {
  id: number;
  type: string;
  at: number;
  data: Record<string, unknown>;
}

export interface OutputView {
  path: string;
  kind: string;
  frame: number | null;
  sha256: string;
  size: number;
}

export interface NodeView {
  address: string;
  owner: string;
  name: string;
  trusted: boolean;
  online: boolean;
  sandboxed: boolean;
  runtimes: { runtime: string; version: string; device: string; numerics_class: string; score: number }[];
  ask_usd_per_kiln_hour: number;
  region: string;
  tiles_accepted: number;
  tiles_rejected: number;
  reputation: number;
  earned: Units;
  suspended: string | null;
  suspicion: number;
  audits: number;
  barred: string | null;
  last_seen: number;
}

export interface Ledger {
  burned: Units;
  minted: Units;
  fees: Units;
  jobs_settled: number;
  tiles_paid: number;
  receipts_waiting: number;
  kiln_per_usd: string;
  usd_per_kiln_hour: number | null;
  epochs: { number: number; created_at: number; burned: Units; minted: Units; root: string; tx: string | null; state: string }[];
  operators: { owner: string; earned: Units; tiles: number; nodes: number }[];
}

export interface ApiKey {
  id: string;
  name: string;
  spend_limit: Units | null;
  spent: Units;
  calls_per_second: number;
  calls_per_minute: number | null;
  jobs_per_day: number | null;
  jobs_today: number;
  usd_per_day: string | null;
  usd_today: string;
  usd_total: string | null;
  usd_spent: string;
  created_at: number;
  revoked_at: number | null;
}
