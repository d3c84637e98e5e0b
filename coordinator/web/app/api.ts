// Calls to the gateway. Every failure is a Problem with one line that says what to do.

import { signal } from "@preact/signals";
import type { Info } from "./wire";

export class Problem extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export interface Account {
  address: string | null;
  wallet: boolean;
  trusted: boolean;
}

export const account = signal<Account | null>(null);
export const info = signal<Info | null>(null);

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  let response: Response;
  try {
    const init: RequestInit = { method, credentials: "same-origin" };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { "Content-Type": "application/json" };
    }
    response = await fetch(path, init);
  } catch {
    throw new Problem("away", "The gateway does not answer. The page goes on by itself when it does.", 0);
  }
  if (response.ok) return response;
  let code = `http_${response.status}`;
  let message = `The gateway answered ${response.status}; try again later.`;
  try {
    const answer = (await response.json()) as { code?: string; message?: string };
    code = answer.code ?? code;
    message = answer.message ?? message;
  } catch {
    // A proxy's own page: its status is all there is to say.
  }
  if (response.status === 401 && account.value?.address) account.value = { address: null, wallet: false, trusted: false };
  throw new Problem(code, message, response.status);
}

export async function get<T>(path: string): Promise<T> {
  return (await (await call("GET", path)).json()) as T;
}

/** A snapshot, and the event after which a stream goes on from it. */
export async function snapshot<T>(path: string): Promise<{ value: T; after: string }> {
  const response = await call("GET", path);
  return { value: (await response.json()) as T, after: response.headers.get("Kilnet-Last-Event") ?? "0" };
}

export async function post<T>(path: string, body?: unknown): Promise<T | null> {
  const response = await call("POST", path, body);
  return response.status === 204 ? null : ((await response.json()) as T);
}

export async function picture(path: string): Promise<{ blob: Blob; more: boolean }> {
  const response = await call("GET", path);
  return { blob: await response.blob(), more: response.headers.get("Kilnet-More") === "1" };
}

export async function whoAmI(): Promise<void> {
  account.value = await get<Account>("/v1/auth/page");
}

export async function learn(): Promise<void> {
  info.value = await get<Info>("/v1/info");
}
