// The pages that links in e-mails open. The token is in the fragment (`#`), which browsers send to no server.
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

/** The token of the e-mail. It is removed from the address bar, and so from the history, immediately. */
function useToken(): string {
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
  useEffect(() => history.replaceState(null, "", location.pathname), []);
  return token;
}

/** Confirms an e-mail address with the password of the sign-up, and signs in. */
export function VerifyEmail(props: { isSignedIn: boolean; onSignedIn: () => Promise<void> }) {
  const token = useToken();
  const [password, setPassword] = useState("");
  const [isUnknown, setUnknown] = useState(false);
  const [verified, setVerified] = useState<Verification | null>(null);
  const submit = useSubmit("password");

  const confirm = submit.run(async () => {
    const found = await send<Verification>("POST", "accounts/v1/email-verifications", { token, password });
    if (!props.isSignedIn) {
      // The address is confirmed even if this fails; the person can then sign in by themselves.
      await send("POST", "session", { email: found.email, password }).then(props.onSignedIn, () => undefined);
    }
    setVerified(found);
  });

  if (isUnknown) {
    return (
      <NewPassword token={token}>
        <p>
          If someone else signed up with your e-mail address, this also removes the sessions, API keys and members that
          they created.
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
            hint="The password that you chose at sign-up."
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
        {submit.error && <a href="/confirm-again">Send me another e-mail</a>}
      </p>
    </Entry>
  );
}

/** Requests an e-mail. The response does not reveal whether the address has an account. */
function MailForm({
  title,
  call,
  confirmation,
}: {
  title: string;
  call: string;
  confirmation: (email: string) => string;
}) {
  const [email, setEmail] = useState("");
  const [isAsked, setAsked] = useState(false);
  const submit = useSubmit("email");
  return (
    <Entry title={title}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {isAsked ? (
        <Notice kind="good">{confirmation(email)}</Notice>
      ) : (
        <form
          onSubmit={submit.run(async () => {
            await send("POST", call, { email });
            setAsked(true);
          })}
        >
          <EmailField value={email} onValue={setEmail} error={submit.errorOf("email")} />
          <button type="submit" class="primary" disabled={submit.isRunning}>
            Send me an e-mail
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
      title="Forgot your password?"
      call="accounts/v1/password-resets/requests"
      confirmation={(email) =>
        `If ${email} has an account, we have sent an e-mail with a link to choose a new password.`
      }
    />
  );
}

export function ConfirmAgain() {
  return (
    <MailForm
      title="Confirm your e-mail"
      call="accounts/v1/email-verifications/requests"
      confirmation={(email) => `If ${email} is not confirmed yet, we have sent another e-mail with a link.`}
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
        <Notice kind="good">Your password was changed, and all your sessions have ended.</Notice>
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
        <p>You are invited to an organization. Accept to see its keys, usage and credit, as your role allows.</p>
        <button type="button" class="primary" disabled={submit.isRunning} onClick={accept}>
          Accept the invitation
        </button>
      </Card>
    </Page>
  );
}
