// States in words, and what to do where something went wrong.

import type { JobView, TileState } from "./wire";

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

const ADVICE: Record<string, string> = {
  too_many_attempts: "Look at the attempts of the tile below: the nodes' log says what stopped them. Then submit again.",
  quote_lapsed: "Nothing was charged. Submit the job again for a new quote.",
  deadline: "What had passed was paid, the rest refunded. Submit again with a later deadline or a higher price.",
  scene_fault: "Open the scene in your own Blender at this frame; a trusted worker saw the same failure.",
  blobs_missing: "Pack the scene again with all its files.",
  unavailable: "This was no fault of yours. Submit the job again.",
  internal: "This was no fault of yours. Submit the job again; if it fails again, tell the operator the job's id.",
};

export function advice(job: JobView): string {
  return (
    ADVICE[job.error_code ?? ""] ??
    "What had passed was paid, everything else was refunded. Mend what the message names and submit the job again."
  );
}
