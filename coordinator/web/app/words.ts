// States in words.

import type { TileState } from "./wire";

export const JOB_STATES: Record<string, { word: string; tone: Tone }> = {
  admitting: { word: "being admitted", tone: "busy" },
  quoted: { word: "quoted", tone: "wait" },
  opening: { word: "opening escrow", tone: "busy" },
  running: { word: "running", tone: "busy" },
  paused: { word: "paused", tone: "wait" },
  review: { word: "waiting for your word", tone: "wait" },
  settling: { word: "settling", tone: "busy" },
  done: { word: "done", tone: "good" },
  cancelled: { word: "cancelled", tone: "idle" },
  failed: { word: "failed", tone: "bad" },
};

export type Tone = "good" | "busy" | "check" | "wait" | "bad" | "idle";

export const TILE_STATES: Record<TileState, { word: string; tone: Tone }> = {
  held: { word: "after the preview", tone: "idle" },
  pending: { word: "waiting", tone: "idle" },
  leased: { word: "rendering", tone: "busy" },
  checking: { word: "being proven", tone: "check" },
  done: { word: "passed", tone: "good" },
  failed: { word: "failed", tone: "bad" },
  cancelled: { word: "cancelled", tone: "idle" },
};

export function tileWord(state: TileState, kind: string): string {
  return state === "leased" && kind === "infer" ? "computing" : TILE_STATES[state].word;
}

export const LANES: Record<string, string> = {
  exact: "Exact: drawn cells redone, compared bit for bit",
  tolerant: "Tolerant: drawn cells redone in another numerics class, compared within calibrated limits",
  whole: "Whole: the tile redone as it was rendered",
  perceptual: "Perceptual: a second render compared by how it looks",
};

export const FINAL = new Set(["done", "cancelled", "failed"]);
