// The frame as far as it has come: one picture of all tiles that passed, fetched again when more have.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { picture } from "../api";

const PAUSE = 700;

/** An object URL of the picture at `path`, newer each time `done` has grown; null while there is none. */
export function useLivePicture(path: string | null, done: number): Signal<string | null> {
  const url = useSignal<string | null>(null);
  const state = useRef({ path: null as string | null, wanted: 0, shown: -1, busy: false, timer: 0 });
  const now = state.current;
  if (now.path !== path) {
    now.path = path;
    now.shown = -1;
    release(url);
  }
  now.wanted = done;

  useEffect(() => {
    if (path === null || done === 0) return;
    const load = async () => {
      if (now.busy || now.path === null || now.shown === now.wanted) return;
      now.busy = true;
      const [asked, want] = [now.path, now.wanted];
      try {
        const made = await picture(asked);
        if (asked === now.path) {
          const before = url.value;
          url.value = URL.createObjectURL(made.blob);
          // The old one stays until the new one is drawn.
          if (before) setTimeout(() => URL.revokeObjectURL(before), 2000);
          now.shown = made.more ? -1 : want;
        }
      } catch {
        now.shown = want;
      }
      now.busy = false;
      if (now.shown !== now.wanted || now.path !== asked) now.timer = window.setTimeout(load, PAUSE);
    };
    void load();
  }, [path, done]);
  useEffect(
    () => () => {
      window.clearTimeout(now.timer);
      now.path = null;
      release(url);
    },
    [],
  );
  return url;
}

function release(url: Signal<string | null>): void {
  if (url.value) URL.revokeObjectURL(url.value);
  url.value = null;
}
