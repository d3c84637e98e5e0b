// What stands around every view: name, navigation, whether the page is live, theme, account.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { account, info } from "../api";
import { short } from "../format";
import { connection } from "../live";
import { Link, path } from "../router";

type Theme = "auto" | "light" | "dark";
const theme = signal<Theme>((localStorage.getItem("kilnet.theme") as Theme | null) ?? "auto");
const NEXT: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };

function setTheme(chosen: Theme): void {
  theme.value = chosen;
  localStorage.setItem("kilnet.theme", chosen);
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  document.dispatchEvent(new Event("kilnet:theme"));
}

const LINKS: [string, string, string][] = [
  ["/jobs", "Jobs", "M4 5h16v4H4zM4 11h10v4H4zM4 17h13v3H4z"],
  ["/nodes", "Nodes", "M4 4h16v6H4zM4 14h16v6H4zM7 7h2M7 17h2"],
  ["/economy", "Economy", "M4 20V10M10 20V4M16 20v-8M22 20H2"],
  ["/audit", "Audit", "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM8.500 12l2.500 2.500 4.500-5"],
];

const WORDS = { live: "Live", connecting: "Connecting", away: "Reconnecting" } as const;

export function Shell({ children }: { children: ComponentChildren }) {
  const at = path.value;
  const who = account.value?.address ?? null;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <Link to="/" class="brand" aria-label="kilnet, start">
          <img src="/static/icon.svg" width="28" height="28" alt="" />
          <span>kilnet</span>
        </Link>
        <nav aria-label="Views">
          {LINKS.map(([to, word, shape]) => (
            <Link key={to} to={to} aria-current={at === to || at.startsWith(`${to}/`) ? "page" : undefined}>
              <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
                <path d={shape} />
              </svg>
              {word}
            </Link>
          ))}
        </nav>
        <div class="side">
          {connection.value && (
            <span class={`link-state ${connection.value}`} role="status">
              <i aria-hidden="true" />
              <span>{WORDS[connection.value]}</span>
            </span>
          )}
          <button
            type="button"
            class="quiet icon"
            onClick={() => setTheme(NEXT[theme.value])}
            aria-label={`Colours: ${theme.value}. Change to ${NEXT[theme.value]}.`}
            title={`Colours: ${theme.value}`}
          >
            <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
              {theme.value === "light" && (
                <path d="M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M5 19l1.500-1.500M17.500 6.500L19 5" />
              )}
              {theme.value === "dark" && <path d="M20 14A8.500 8.500 0 0 1 10 4a8.500 8.500 0 1 0 10 10z" />}
              {theme.value === "auto" && <path d="M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18M12 7h5M12 11h8M12 15h7M12 19h4" />}
            </svg>
          </button>
          {who === null ? (
            <Link to="/sign-in" class="button small">
              Sign in
            </Link>
          ) : (
            <Link to="/account" class="button quiet small mono" aria-label={`Account ${who}`}>
              {short(who)}
            </Link>
          )}
        </div>
      </header>
      <main id="main">{children}</main>
      <footer>
        <span>
          kilnet {info.value?.version}
          {info.value?.chain ? ` · chain ${info.value.chain.chain_id}` : " · the chain is away"}
        </span>
        <a href="/static/third-party.txt">Licences</a>
      </footer>
    </>
  );
}
