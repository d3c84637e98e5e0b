// Which frame is shown: a bar over all frames, each as full as it is done, and a slider on it.

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { JobStore } from "./store";

interface FramesProps {
  store: JobStore;
  frames: number[];
  frame: number | null;
  choose: (frame: number) => void;
}

export function Frames({ store, frames, frame, choose }: FramesProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const now = useSignal(frame);
  const size = useSignal(0);
  now.value = frame;

  useSignalEffect(() => {
    store.version.value;
    size.value;
    if (canvas.current !== null) paint(canvas.current, store, frames, now.value);
  });
  useEffect(() => {
    if (canvas.current === null) return;
    const observer = new ResizeObserver(() => (size.value += 1));
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, []);

  const place = frame === null ? 0 : frames.indexOf(frame);
  const step = (by: number) => {
    const to = frames[place + by];
    if (to !== undefined) choose(to);
  };
  return (
    <div class="frames">
      <button type="button" class="quiet icon" onClick={() => step(-1)} disabled={place <= 0} aria-label="Frame before">
        ‹
      </button>
      <div class="scrub">
        <canvas ref={canvas} aria-hidden="true" />
        <input
          type="range"
          min={0}
          max={frames.length - 1}
          value={place}
          aria-label="Frame"
          aria-valuetext={`Frame ${frame}`}
          onInput={(event) => {
            const to = frames[Number(event.currentTarget.value)];
            if (to !== undefined) choose(to);
          }}
        />
      </div>
      <button
        type="button"
        class="quiet icon"
        onClick={() => step(1)}
        disabled={place >= frames.length - 1}
        aria-label="Frame after"
      >
        ›
      </button>
      <output>
        Frame {frame} <small>of {frames.length}</small>
      </output>
    </div>
  );
}

function paint(canvas: HTMLCanvasElement, store: JobStore, frames: number[], frame: number | null): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width;
  canvas.height = height;
  const style = getComputedStyle(canvas);
  const [idle, good] = [style.getPropertyValue("--tile-idle"), style.getPropertyValue("--tile-good")];
  const [bad, chosen] = [style.getPropertyValue("--tile-bad"), style.getPropertyValue("--focus")];
  const place = new Map(frames.map((number, i) => [number, i]));
  const sums = frames.map(() => ({ done: 0, all: 0, bad: false }));
  for (const one of store.tiles) {
    if (one.tile.kind !== "render") continue;
    for (const number of one.tile.frames) {
      const sum = sums[place.get(number) ?? -1];
      if (sum === undefined) continue;
      sum.all += 1;
      sum.done += one.state === "done" ? 1 : one.state === "leased" ? one.progress : 0;
      sum.bad ||= one.state === "failed";
    }
  }
  const step = width / frames.length;
  const gap = step > 5 ? 1 : 0;
  sums.forEach((sum, i) => {
    const share = sum.all ? sum.done / sum.all : 0;
    context.fillStyle = idle;
    context.fillRect(i * step, 0, step - gap, height);
    context.fillStyle = sum.bad ? bad : good;
    context.fillRect(i * step, height * (1 - share), step - gap, height * share);
  });
  const at = frame === null ? undefined : place.get(frame);
  if (at !== undefined) {
    context.strokeStyle = chosen;
    context.lineWidth = 2;
    context.strokeRect(at * step + 1, 1, Math.max(2, step - gap - 2), height - 2);
  }
}
