// How clean a frame is by now, and how that came: covered pixels, samples, and the noise that is seen, falling.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { get } from "../api";
import { percent } from "../format";
import type { FrameLook } from "../wire";

const PAUSE = 1500;
const KEPT = 60;
const [WIDTH, HEIGHT] = [120, 24];

/** The looks at `frame` since the page was opened, one for each time `passed` has grown. */
export function Noise({ job, frame, passed }: { job: string; frame: number; passed: number }) {
  const looks = useSignal<FrameLook[]>([]);
  const of = useRef("");
  useEffect(() => {
    const key = `${job}/${frame}`;
    if (of.current !== key) looks.value = [];
    of.current = key;
    if (passed === 0) return;
    const timer = window.setTimeout(
      async () => {
        try {
          const look = await get<FrameLook>(`/v1/jobs/${job}/frames/${frame}/look`);
          const last = looks.value.at(-1);
          if (of.current === key && (last?.samples !== look.samples || last.covered !== look.covered || last.noise !== look.noise))
            looks.value = [...looks.value, look].slice(-KEPT);
        } catch {
          // There is none of this frame yet; the next tile asks again.
        }
      },
      looks.value.length ? PAUSE : 0,
    );
    return () => window.clearTimeout(timer);
  }, [job, frame, passed]);
  const now = looks.value.at(-1);
  if (now === undefined) return null;
  const noises = looks.value.flatMap((look) => (look.noise === null ? [] : [look.noise]));
  return (
    <p class="noise" aria-live="polite">
      <span>
        {percent(now.covered)} seen, {now.samples.toFixed(now.samples < 10 ? 1 : 0)} samples
        {now.noise !== null && `, noise ${fine(now.noise)}`}
      </span>
      {noises.length > 1 && (
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={`Noise from ${fine(noises[0] ?? 0)} to ${fine(noises.at(-1) ?? 0)}`}>
          <polyline points={line(noises)} />
        </svg>
      )}
    </p>
  );
}

const fine = (share: number) => `${(share * 100).toFixed(2)}%`;

function line(values: number[]): string {
  const most = Math.max(...values, 1e-9);
  return values
    .map((value, i) => `${((i / (values.length - 1)) * WIDTH).toFixed(1)},${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`)
    .join(" ");
}
