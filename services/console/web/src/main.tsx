// The application: loads the session and selects the page.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, onRoleChange, onSignedOut, setOrganization } from "./api";
import { Layout } from "./layout";
import { explain } from "./load";
import { AccountPage } from "./pages/account";
import { AuditLog } from "./pages/audit_log";
import { Credit } from "./pages/credit";
import { Invited, SignIn, SignUp } from "./pages/entry";
import { KeyDetail } from "./pages/key";
import { Keys } from "./pages/keys";
import { LeakedKey } from "./pages/leaked_key";
import { AcceptInvitation, ConfirmAgain, ForgottenPassword, ResetPassword, VerifyEmail } from "./pages/mails";
import { Models } from "./pages/models";
import { NoOrganization, OrganizationPage } from "./pages/organization";
import { Overview } from "./pages/overview";
import { Projects } from "./pages/projects";
import { RequestDetail } from "./pages/request";
import { Requests } from "./pages/requests";
import { Empty, Loading, Notice, Page } from "./parts";
import { followLinks, usePlace } from "./router";
import type { Session } from "./types";

// Pages for visitors who are not signed in, and pages that e-mails link to.
const OPEN = [
  "/sign-in",
  "/sign-up",
  "/forgotten-password",
  "/confirm-again",
  "/verify-email",
  "/reset-password",
  "/leaked-key",
];

function App() {
  const place = usePlace();
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [hasEnded, setEnded] = useState(false);

  const look = async () => {
    try {
      const found = await get<Session>("session");
      setOrganization(found.account?.account_id ?? null);
      setSession(found);
      setError(null);
    } catch (problem) {
      setError(explain(problem));
    }
  };
  useEffect(() => {
    void look();
    const stops = [
      onSignedOut(() => {
        setEnded(true);
        setSession((before) => before && { ...before, account: null, person: null });
      }),
      // Someone changed the person's role, or removed them from the organization.
      onRoleChange(() => void look()),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, []);

  if (session === null) {
    return error === null ? (
      <Loading />
    ) : (
      <main class="entry">
        <Notice kind="error">
          {error}{" "}
          <button type="button" class="link" onClick={look}>
            Try again
          </button>
        </Notice>
      </main>
    );
  }
  const signedIn = async () => {
    setEnded(false);
    await look();
  };
  if (session.person === null || OPEN.includes(place.pathname)) {
    return <Entrance place={place} hasEnded={hasEnded} isSignedIn={session.person !== null} onSignedIn={signedIn} />;
  }
  if (session.account === null) return <NoOrganization email={session.person.email} place={place} onChange={look} />;
  return (
    <Layout account={session.account} place={place} onChange={look}>
      <Shown key={session.account.account_id} place={place} session={session} onChange={look} />
    </Layout>
  );
}

function Entrance(props: { place: URL; hasEnded: boolean; isSignedIn: boolean; onSignedIn: () => Promise<void> }) {
  switch (props.place.pathname) {
    case "/sign-up":
      return <SignUp onSignedIn={props.onSignedIn} />;
    case "/forgotten-password":
      return <ForgottenPassword />;
    case "/confirm-again":
      return <ConfirmAgain />;
    case "/verify-email":
      return <VerifyEmail isSignedIn={props.isSignedIn} onSignedIn={props.onSignedIn} />;
    case "/reset-password":
      return <ResetPassword />;
    case "/leaked-key":
      return <LeakedKey isSignedIn={props.isSignedIn} />;
    case "/invitation":
      return <Invited {...props} />;
    default:
      return <SignIn onSignedIn={props.onSignedIn} hasEnded={props.hasEnded} place={props.place} />;
  }
}

function Shown({ place, session, onChange }: { place: URL; session: Session; onChange: () => Promise<void> }) {
  if (session.account === null) return null;
  const request = /^\/requests\/([^/]+)$/.exec(place.pathname);
  if (request?.[1]) return <RequestDetail id={decodeURIComponent(request[1])} />;
  const key = /^\/keys\/([0-9a-f-]{36})$/.exec(place.pathname);
  if (key?.[1]) return <KeyDetail id={key[1]} account={session.account} apiUrl={session.api_url} />;
  switch (place.pathname) {
    case "/":
      return <Overview place={place} apiUrl={session.api_url} />;
    case "/keys":
      return <Keys account={session.account} apiUrl={session.api_url} place={place} />;
    case "/projects":
      return <Projects account={session.account} />;
    case "/requests":
      return <Requests place={place} />;
    case "/credit":
    // Stripe redirects here after a payment.
    case "/payments":
      return <Credit account={session.account} />;
    case "/organization":
      return <OrganizationPage account={session.account} onChange={onChange} />;
    case "/organization/audit-log":
      return <AuditLog account={session.account} />;
    case "/account":
      return <AccountPage account={session.account} onChange={onChange} />;
    case "/models":
      return <Models />;
    case "/invitation":
      return <AcceptInvitation onChange={onChange} />;
    default:
      return (
        <Page title="Page not found">
          <Empty>
            <p>No page exists at {place.pathname}.</p>
            <a href="/">Overview</a>
          </Empty>
        </Page>
      );
  }
}

document.addEventListener("click", followLinks);
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
