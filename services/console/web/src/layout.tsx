// What stands around every page of who is signed in.
import type { ComponentChildren } from "preact";
import { get, send } from "./api";
import { useLoad } from "./load";
import { Notice } from "./parts";
import { navigate } from "./router";
import { useSubmit } from "./submit";
import type { Account, Organisation } from "./types";

const PAGES = [
  ["/", "Overview"],
  ["/keys", "API keys"],
  ["/projects", "Projects"],
  ["/requests", "Requests"],
  ["/credit", "Credit"],
  ["/models", "Models"],
] as const;

interface LayoutProps {
  account: Account;
  place: URL;
  onChange: () => Promise<void>;
  children: ComponentChildren;
}

export function Layout({ account, place, onChange, children }: LayoutProps) {
  const signOut = useSubmit();
  const here = `/${place.pathname.split("/")[1]}`;
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          Tollgate
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([path, name]) => (
            <a key={path} href={path} aria-current={here === path ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div class="who">
          <Organisations account={account} onChange={onChange} />
          <span class="email" title={account.email}>
            {account.email}
          </span>
          <button
            type="button"
            class="small"
            disabled={signOut.isRunning}
            onClick={signOut.run(async () => {
              await send("DELETE", "session");
              navigate("/sign-in");
              await onChange();
            })}
          >
            Sign out
          </button>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {signOut.error && <Notice kind="error">{signOut.error}</Notice>}
        {children}
      </main>
    </>
  );
}

/** Which organisation is looked at, for who is a member of several. */
function Organisations({ account, onChange }: { account: Account; onChange: () => Promise<void> }) {
  const found = useLoad(
    (signal) => get<{ organisations: Organisation[] }>("accounts/v1/organisations", {}, signal),
    [account.account_id],
  );
  const change = useSubmit();
  const organisations = found.data?.organisations ?? [];
  if (organisations.length < 2) return null;
  return (
    <select
      aria-label="Organisation"
      disabled={change.isRunning}
      onChange={(event) => {
        const account_id = event.currentTarget.value;
        change.run(async () => {
          await send("PUT", "accounts/v1/sessions/current/organisation", { account_id });
          await onChange();
          navigate("/");
        })();
      }}
    >
      {organisations.map((one) => (
        <option key={one.account_id} value={one.account_id} selected={one.account_id === account.account_id}>
          {one.name}
        </option>
      ))}
    </select>
  );
}
