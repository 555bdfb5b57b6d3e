// The frame around every page of a signed-in person.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get, send } from "./api";
import { useLoad } from "./load";
import { switchTo } from "./organizations";
import { Notice } from "./parts";
import { navigate } from "./router";
import { useSubmit } from "./submit";
import type { Account, OrganizationList } from "./types";

const PAGES = [
  ["/", "Overview"],
  ["/keys", "API keys"],
  ["/projects", "Projects"],
  ["/requests", "Requests"],
  ["/credit", "Credit"],
  ["/models", "Models"],
  ["/organization", "Organization"],
] as const;

interface LayoutProps {
  account: Account;
  place: URL;
  onChange: () => Promise<void>;
  children: ComponentChildren;
}

export function Layout({ account, place, onChange, children }: LayoutProps) {
  const signOut = useSubmit();
  const nav = useRef<HTMLElement>(null);
  const here = `/${place.pathname.split("/")[1]}`;
  // A narrow window cannot show the names of all pages.
  useEffect(() => {
    nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [here]);
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          Tollgate
        </a>
        <nav aria-label="Pages" ref={nav}>
          {PAGES.map(([path, name]) => (
            <a key={path} href={path} aria-current={here === path ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <div class="who">
          <Organizations account={account} onChange={onChange} />
          <a class="email" href="/account" title="Account" aria-current={here === "/account" ? "page" : undefined}>
            {account.email}
          </a>
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

/** The selector of the organization, for a person who belongs to several. */
function Organizations({ account, onChange }: { account: Account; onChange: () => Promise<void> }) {
  const found = useLoad(
    (signal) => get<OrganizationList>("accounts/v1/organizations", {}, signal),
    [account.account_id, account.name],
  );
  const change = useSubmit();
  const organizations = found.data?.organizations ?? [];
  if (organizations.length < 2) return null;
  return (
    <select
      aria-label="Organization"
      disabled={change.isRunning}
      onChange={(event) => {
        const account_id = event.currentTarget.value;
        change.run(async () => {
          await switchTo(account_id);
          await onChange();
          navigate("/");
        })();
      }}
    >
      {organizations.map((one) => (
        <option key={one.account_id} value={one.account_id} selected={one.account_id === account.account_id}>
          {one.name}
        </option>
      ))}
    </select>
  );
}
