// The reference frame beside the result. The divider is the browser's own slider: dragged by mouse or finger, moved by
// arrow keys, and spoken of by screen readers.

import { useSignal } from "@preact/signals";
import { Notice } from "../views/parts";

interface CompareProps {
  aspect: string;
  before: string;
  after: string | null;
  partial: boolean;
}

export function Compare({ aspect, before, after, partial }: CompareProps) {
  const at = useSignal(50);
  if (after === null)
    return <Notice title="Nothing to compare yet">The first tile that passes appears beside the reference frame.</Notice>;
  return (
    <>
      <div class="stage compare" style={{ aspectRatio: aspect, "--at": `${at.value}%` }}>
        <img src={before} alt="Reference frame: few samples, rendered by the coordinator" />
        <img class="over" src={after} alt={partial ? "Result so far" : "Result"} />
        <span class="divider" aria-hidden="true">
          <i>‹ ›</i>
        </span>
        <input
          type="range"
          min={0}
          max={100}
          step={1}
          value={at.value}
          aria-label="Divider between reference frame and result"
          aria-valuetext={`${at.value}% reference frame`}
          onInput={(event) => (at.value = Number(event.currentTarget.value))}
        />
      </div>
      <figcaption class="legend">
        <span>Left: the reference frame (few samples)</span>
        <span>Right: {partial ? "the result so far" : "the result"}</span>
      </figcaption>
    </>
  );
}
