import { signal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { account, learn, Problem, whoAmI } from "./api";
import { go, path } from "./router";
import { AccountView } from "./views/account";
import { Economy } from "./views/economy";
import { Failure, Loading } from "./views/parts";
import { Jobs } from "./views/jobs";
import { JobPage } from "./views/job";
import { Nodes } from "./views/nodes";
import { Audit } from "./audit/view";
import { Shell } from "./views/shell";
import { SignIn } from "./views/sign_in";

const problem = signal<Problem | null>(null);
const PRIVATE = ["/jobs", "/nodes", "/account"];

async function begin(): Promise<void> {
  try {
    await Promise.all([whoAmI(), learn()]);
    problem.value = null;
  } catch (error) {
    problem.value = error instanceof Problem ? error : new Problem("page", String(error), 0);
    window.setTimeout(() => void begin(), 2000);
  }
}

function View() {
  const at = path.value.replace(/\/+$/, "") || "/";
  const who = account.value;
  useEffect(() => {
    if (at === "/" && who !== null) go(who.address ? "/jobs" : "/sign-in", true);
  }, [at, who]);
  if (problem.value !== null) return <Failure problem={problem.value} />;
  if (at === "/economy") return <Economy />;
  if (at === "/audit") return <Audit />;
  if (at === "/sign-in") return <SignIn />;
  if (who === null) return <Loading />;
  if (who.address === null && PRIVATE.some((name) => at.startsWith(name))) return <SignIn next={at} />;
  if (at === "/jobs") return <Jobs />;
  if (at === "/nodes") return <Nodes />;
  if (at === "/account") return <AccountView />;
  const job = /^\/jobs\/([0-9A-Za-z_-]{1,24})$/.exec(at);
  if (job?.[1]) return <JobPage key={job[1]} id={job[1]} />;
  if (at === "/") return <Loading />;
  return <Failure problem={new Problem("not_found", `There is no page ${at}; choose one above.`, 404)} />;
}

const root = document.getElementById("page");
if (root !== null) {
  root.replaceChildren();
  render(
    <Shell>
      <View />
    </Shell>,
    root,
  );
  void begin();
}
