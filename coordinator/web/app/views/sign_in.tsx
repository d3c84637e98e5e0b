// Three ways in: a browser wallet, an API key, the link that `kilnet page` prints.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { account, post, Problem, whoAmI } from "../api";
import { go, Link } from "../router";
import { Failure, Notice } from "./parts";

interface Wallet {
  request(call: { method: string; params?: unknown[] }): Promise<unknown>;
}

declare global {
  interface Window {
    ethereum?: Wallet;
  }
}

async function withWallet(wallet: Wallet): Promise<void> {
  let address: string | undefined;
  try {
    [address] = (await wallet.request({ method: "eth_requestAccounts" })) as string[];
  } catch {
    throw new Problem("wallet", "The wallet was not opened. Allow this page to see your account and try again.", 0);
  }
  if (!address) throw new Problem("wallet", "The wallet has no account. Make one in it and try again.", 0);
  const nonce = await post<{ message: string }>("/v1/auth/nonce", { address });
  const message = nonce?.message ?? "";
  const hex = `0x${Array.from(new TextEncoder().encode(message), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  let signature: unknown;
  try {
    signature = await wallet.request({ method: "personal_sign", params: [hex, address] });
  } catch {
    throw new Problem("wallet", "The text was not signed, so nothing happened. Signing it costs nothing.", 0);
  }
  await post("/v1/auth/page", { login: { address, message, signature } });
}

export function SignIn({ next = "/jobs" }: { next?: string }) {
  const problem = useSignal<Problem | null>(null);
  const busy = useSignal(false);
  const key = useSignal("");

  const enter = async (open: () => Promise<unknown>) => {
    busy.value = true;
    problem.value = null;
    try {
      await open();
      await whoAmI();
      go(next, true);
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
    }
    busy.value = false;
  };

  useEffect(() => {
    const look = () => {
      const code = location.hash.slice(1);
      if (location.pathname !== "/sign-in" || !/^[A-Za-z0-9_-]{43}$/.test(code)) return;
      // Out of the address at once: it is good for one use, and nobody should share it by mistake.
      history.replaceState(null, "", location.pathname);
      void enter(() => post("/v1/auth/page", { code }));
    };
    look();
    window.addEventListener("hashchange", look);
    return () => window.removeEventListener("hashchange", look);
  }, []);

  if (account.value?.address && !busy.value)
    return (
      <section class="narrow">
        <h1 tabIndex={-1}>You are signed in</h1>
        <p>
          <Link to="/jobs">Go to your jobs</Link>
        </p>
      </section>
    );
  const wallet = window.ethereum;
  return (
    <section class="narrow">
      <h1 tabIndex={-1}>Sign in</h1>
      <p class="lead">Artists see their jobs, operators their nodes. The ledger is open to everyone.</p>
      {problem.value && <Failure problem={problem.value} />}
      <div class="card stack">
        <h2>On this machine</h2>
        <p>
          Run <code>kilnet page</code> and open the link that it prints. It signs you in with the key you already have.
        </p>
      </div>
      <form
        class="card stack"
        onSubmit={(event) => {
          event.preventDefault();
          void enter(() => post("/v1/auth/page", { api_key: key.value.trim() }));
        }}
      >
        <h2>With an API key</h2>
        <label class="field">
          <span>API key</span>
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            placeholder="kilnet_…"
            value={key.value}
            onInput={(event) => (key.value = event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button" disabled={busy.value || key.value.trim() === ""}>
          Sign in
        </button>
        <p class="hint">
          <code>kilnet keys create laptop</code> makes one that can look but not order.
        </p>
      </form>
      <div class="card stack">
        <h2>With a browser wallet</h2>
        {wallet ? (
          <>
            <button type="button" class="button" disabled={busy.value} onClick={() => void enter(() => withWallet(wallet))}>
              Sign a text with the wallet
            </button>
            <p class="hint">The text names this page and your account. Signing it costs nothing.</p>
          </>
        ) : (
          <p class="hint">This browser has no wallet. Install one that speaks EIP-1193, or use a way above.</p>
        )}
      </div>
      <Notice title="Just looking?">
        The <Link to="/economy">ledger</Link> and the <Link to="/audit">proof of any receipt</Link> need no account.
      </Notice>
    </section>
  );
}
