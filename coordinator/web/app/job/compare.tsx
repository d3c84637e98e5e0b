// The reference frame beside the result, with a divider to drag or to move by arrow keys.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Notice } from "../views/parts";

interface CompareProps {
  aspect: string;
  before: string;
  after: string | null;
  partial: boolean;
}

declare module "preact" {
  namespace JSX {
    interface IntrinsicElements {
      "wa-comparison": { position?: number; children?: ComponentChildren };
    }
  }
}

export function Compare({ aspect, before, after, partial }: CompareProps) {
  const ready = useSignal(false);
  useEffect(() => {
    // Fetched when it is wanted: most visits never compare.
    void import("@awesome.me/webawesome/dist/components/comparison/comparison.js").then(() => (ready.value = true));
  }, []);
  if (after === null)
    return <Notice title="Nothing to compare yet">The first tile that passes appears beside the reference frame.</Notice>;
  return (
    <>
      <div class="stage" style={{ aspectRatio: aspect }}>
        {ready.value && (
          <wa-comparison position={50}>
            <img slot="before" src={before} alt="Reference frame: few samples, rendered by the coordinator" />
            <img slot="after" src={after} alt={partial ? "Result so far" : "Result"} />
            <span slot="handle" aria-hidden="true">
              ⇔
            </span>
          </wa-comparison>
        )}
      </div>
      <figcaption class="legend">
        <span>Left: the reference frame (few samples)</span>
        <span>Right: {partial ? "the result so far" : "the result"}</span>
      </figcaption>
    </>
  );
}
