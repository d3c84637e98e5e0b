// Whose page this is, its balance, its API keys.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { account, get, info, post, Problem } from "../api";
import { date, kiln, usd } from "../format";
import { go } from "../router";
import type { ApiKey, Units } from "../wire";
import { Notices } from "./notices";
import { Badge, Failure, Hex, Loading, Notice, Stat } from "./parts";

const amount = (usd: string) => `$${Number(usd).toFixed(2)}`;

function Used(p: { value: string | number; limit: string | number | null }) {
  return (
    <td class="number">
      {p.value}
      {p.limit !== null && <small>of {p.limit}</small>}
    </td>
  );
}

export function AccountView() {
  const keys = useSignal<ApiKey[] | null>(null);
  const balance = useSignal<Units | null | "away">(null);
  const problem = useSignal<Problem | null>(null);
  const guard = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
    }
  };
  const load = async () => {
    keys.value = await get<ApiKey[]>("/v1/auth/keys");
  };
  useEffect(() => {
    void guard(load);
    get<{ balance: Units }>("/v1/accounts/me").then(
      (found) => (balance.value = found.balance),
      () => (balance.value = "away"),
    );
  }, []);
  const leave = () =>
    guard(async () => {
      await post("/v1/auth/page/leave");
      account.value = { address: null, wallet: false, trusted: false };
      go("/sign-in");
    });
  const revoke = (key: ApiKey) =>
    guard(async () => {
      await post(`/v1/auth/keys/${key.id}/revoke`);
      await load();
    });
  const who = account.value;
  if (who?.address == null) return null;
  const rate = info.value?.kiln_per_usd;
  const held = balance.value;
  return (
    <>
      <div class="heading">
        <h1 tabIndex={-1}>Account</h1>
        <button type="button" class="button quiet" onClick={leave}>
          Sign out
        </button>
      </div>
      {problem.value && <Failure problem={problem.value} />}
      <dl class="stats">
        <Stat label="Address" value={<Hex value={who.address} name="address" />} />
        <Stat
          label="Balance"
          value={held === null ? "…" : held === "away" ? "unknown" : `${kiln(held)} KILN`}
          more={held === "away" ? "the chain is away" : held && rate ? usd(held, rate) : undefined}
        />
        <Stat label="Signed in with" value={who.wallet ? "wallet" : "API key"} />
      </dl>
      <section class="card">
        <h2>API keys</h2>
        {keys.value === null ? (
          <Loading rows={2} />
        ) : keys.value.length === 0 ? (
          <Notice title="No keys yet">
            <code>kilnet keys create NAME --spend-limit 25</code> makes one for a program that may order for 25 KILN.
          </Notice>
        ) : (
          <div class="scroll" tabIndex={0} role="region" aria-label="API keys">
            <table>
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">Key</th>
                  <th scope="col" class="number">KILN</th>
                  <th scope="col" class="number">USD</th>
                  <th scope="col" class="number">USD today</th>
                  <th scope="col" class="number">Jobs today</th>
                  <th scope="col" class="number">Calls</th>
                  <th scope="col">Made</th>
                  <th scope="col">
                    <span class="sr">What to do</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {keys.value.map((key) => (
                  <tr key={key.id}>
                    <th scope="row">{key.name}</th>
                    <td class="mono">{key.id}</td>
                    <Used value={kiln(key.spent)} limit={key.spend_limit === null ? null : kiln(key.spend_limit)} />
                    <Used value={amount(key.usd_spent)} limit={key.usd_total === null ? null : amount(key.usd_total)} />
                    <Used value={amount(key.usd_today)} limit={key.usd_per_day === null ? null : amount(key.usd_per_day)} />
                    <Used value={key.jobs_today} limit={key.jobs_per_day} />
                    <td class="number">
                      {key.calls_per_second}/s
                      {key.calls_per_minute !== null && <small>{key.calls_per_minute}/min</small>}
                    </td>
                    <td>{date(key.created_at)}</td>
                    <td>
                      {key.revoked_at ? (
                        <Badge tone="idle">revoked</Badge>
                      ) : who.wallet ? (
                        <button type="button" class="button quiet small" onClick={() => void revoke(key)}>
                          Revoke<span class="sr"> {key.name}</span>
                        </button>
                      ) : (
                        <Badge tone="good">in use</Badge>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <Notices />
    </>
  );
}
