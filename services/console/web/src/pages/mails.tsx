// What the links in mails open. Their token stands behind `#`, which browsers send to nobody.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { send } from "../api";
import { EmailField, NewPasswordField, PasswordField } from "../fields";
import { money } from "../format";
import { switchTo } from "../organizations";
import { Card, Notice, Page } from "../parts";
import { navigate } from "../router";
import { useSubmit } from "../submit";
import type { Membership, Verification } from "../types";
import { Entry } from "./entry";

/** The token of the mail; it leaves the address bar, and so the history, at once. */
function useToken(): string {
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
  useEffect(() => history.replaceState(null, "", location.pathname), []);
  return token;
}

/** Confirms an e-mail with the password of the sign-up, and signs in with it. */
export function VerifyEmail(props: { isSignedIn: boolean; onSignedIn: () => Promise<void> }) {
  const token = useToken();
  const [password, setPassword] = useState("");
  const [isUnknown, setUnknown] = useState(false);
  const [verified, setVerified] = useState<Verification | null>(null);
  const submit = useSubmit("password");

  const confirm = submit.run(async () => {
    const found = await send<Verification>("POST", "accounts/v1/email-verifications", { token, password });
    if (!props.isSignedIn) {
      // Confirmed it is in any case; then they sign in by themselves.
      await send("POST", "session", { email: found.email, password }).then(props.onSignedIn, () => undefined);
    }
    setVerified(found);
  });

  if (isUnknown) {
    return (
      <NewPassword token={token}>
        <p>
          If somebody else signed up with your e-mail, this also ends what they may have left: sessions, API keys and
          members.
        </p>
      </NewPassword>
    );
  }
  return (
    <Entry title="Confirm your e-mail">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {verified ? (
        <Notice kind="good">
          {verified.email} is confirmed.
          {verified.grant && ` Your promo code added ${money(verified.grant.amount_nano)} of credit.`}
        </Notice>
      ) : (
        <form onSubmit={confirm}>
          <PasswordField
            value={password}
            onValue={setPassword}
            error={submit.errorOf("password")}
            hint="The one that you chose when you signed up."
          />
          <button type="submit" class="primary" disabled={submit.isRunning}>
            {submit.isRunning ? "Confirming…" : "Confirm"}
          </button>
        </form>
      )}
      <p class="beside">
        {props.isSignedIn ? <a href="/">Overview</a> : verified && <a href="/sign-in">Sign in</a>}
        {!verified && (
          <button type="button" class="link" onClick={() => setUnknown(true)}>
            I do not know the password
          </button>
        )}
        {submit.error && <a href="/confirm-again">Send me another mail</a>}
      </p>
    </Entry>
  );
}

/** Asks for a mail, and tells nobody whether the address has an account. */
function MailForm({ title, call, told }: { title: string; call: string; told: (email: string) => string }) {
  const [email, setEmail] = useState("");
  const [isAsked, setAsked] = useState(false);
  const submit = useSubmit("email");
  return (
    <Entry title={title}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {isAsked ? (
        <Notice kind="good">{told(email)}</Notice>
      ) : (
        <form
          onSubmit={submit.run(async () => {
            await send("POST", call, { email });
            setAsked(true);
          })}
        >
          <EmailField value={email} onValue={setEmail} error={submit.errorOf("email")} />
          <button type="submit" class="primary" disabled={submit.isRunning}>
            Send me a mail
          </button>
        </form>
      )}
      <p class="beside">
        <a href="/sign-in">Sign in</a>
      </p>
    </Entry>
  );
}

export function ForgottenPassword() {
  return (
    <MailForm
      title="Forgotten your password?"
      call="accounts/v1/password-resets/requests"
      told={(email) => `If ${email} has an account, a mail with a link to a new password is on its way.`}
    />
  );
}

export function ConfirmAgain() {
  return (
    <MailForm
      title="Confirm your e-mail"
      call="accounts/v1/email-verifications/requests"
      told={(email) => `If ${email} waits to be confirmed, another mail with a link is on its way.`}
    />
  );
}

export function ResetPassword() {
  return <NewPassword token={useToken()} />;
}

function NewPassword({ token, children }: { token: string; children?: ComponentChildren }) {
  const [password, setPassword] = useState("");
  const [isDone, setDone] = useState(false);
  const submit = useSubmit("password");
  return (
    <Entry title="Choose a new password">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {isDone ? (
        <Notice kind="good">Your password is changed, and every session of yours has ended.</Notice>
      ) : (
        <form
          onSubmit={submit.run(async () => {
            await send("POST", "accounts/v1/password-resets", { token, password });
            setDone(true);
          })}
        >
          {children}
          <NewPasswordField
            label="New password"
            value={password}
            onValue={setPassword}
            error={submit.errorOf("password")}
          />
          <button type="submit" class="primary" disabled={submit.isRunning}>
            Change the password
          </button>
        </form>
      )}
      <p class="beside">
        <a href="/sign-in">Sign in</a>
      </p>
    </Entry>
  );
}

export function AcceptInvitation({ onChange }: { onChange: () => Promise<void> }) {
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
  const submit = useSubmit();
  const accept = submit.run(async () => {
    const { account_id } = await send<Membership>("POST", "accounts/v1/invitations/acceptances", { token });
    await switchTo(account_id);
    navigate("/", { replace: true });
    await onChange();
  });
  return (
    <Page title="Invitation">
      <Card>
        {submit.error && <Notice kind="error">{submit.error}</Notice>}
        <p>
          Somebody has invited you to their organization. Accept to see its keys, usage and credit, as far as your role
          goes.
        </p>
        <button type="button" class="primary" disabled={submit.isRunning} onClick={accept}>
          Accept the invitation
        </button>
      </Card>
    </Page>
  );
}
