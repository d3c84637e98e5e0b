// Small parts that several views are made of.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { Problem } from "../api";
import { short } from "../format";
import type { Tone } from "../words";

export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`}>
      <i aria-hidden="true" />
      {children}
    </span>
  );
}

interface NoticeProps {
  title: string;
  tone?: "bad" | "plain" | "wait";
  children?: ComponentChildren;
}

export function Notice({ title, tone = "plain", children }: NoticeProps) {
  return (
    <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : undefined}>
      <strong>{title}</strong>
      <div>{children}</div>
    </div>
  );
}

export function Failure({ problem }: { problem: Problem }) {
  return (
    <Notice title={problem.status === 404 ? "Not here" : "That did not work"} tone="bad">
      {problem.message}
    </Notice>
  );
}

export function Loading({ rows = 4 }: { rows?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} />
      ))}
    </div>
  );
}

export function Stat({ label, value, more }: { label: string; value: ComponentChildren; more?: ComponentChildren }) {
  return (
    <div class="stat">
      <dt>{label}</dt>
      <dd>
        {value}
        {more !== undefined && <small>{more}</small>}
      </dd>
    </div>
  );
}

export function Progress({ share, label, tone = "busy" }: { share: number; label: string; tone?: Tone }) {
  return (
    <div
      class={`bar ${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuenow={Math.round(share * 100)}
      aria-valuemin={0}
      aria-valuemax={100}
    >
      <i style={{ transform: `scaleX(${Math.max(0, Math.min(1, share))})` }} />
    </div>
  );
}

/** A long hex number, short to read and whole to copy. */
export function Hex({ value, name }: { value: string; name: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(value);
    copied.value = true;
    window.setTimeout(() => (copied.value = false), 1200);
  };
  return (
    <button type="button" class="hex" title={value} onClick={copy} aria-label={`Copy ${name} ${value}`}>
      {copied.value ? "copied" : short(value)}
    </button>
  );
}
