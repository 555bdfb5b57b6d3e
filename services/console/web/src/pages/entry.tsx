// Sign-up and sign-in.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { send } from "../api";
import { EmailField, Field, NewPasswordField } from "../fields";
import { Notice, Page } from "../parts";
import { navigate } from "../router";
import { useSubmit } from "../submit";

export function Entry({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <main class="entry">
      <a class="brand" href="/">
        Tollgate
      </a>
      <div class="card">
        <Page title={title}>{children}</Page>
      </div>
    </main>
  );
}

export function SignIn(props: { onSignedIn: () => Promise<void>; hasEnded: boolean; place: URL }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const submit = useSubmit("email", "password");

  const signIn = submit.run(async () => {
    await send("POST", "session", { email, password });
    if (props.place.pathname === "/sign-in") navigate("/", { replace: true });
    await props.onSignedIn();
  });

  return (
    <Entry title="Sign in">
      {props.hasEnded && <Notice kind="info">Your session has ended. Sign in again to go on.</Notice>}
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <form onSubmit={signIn}>
        <EmailField value={email} onValue={setEmail} error={submit.errorOf("email")} />
        <Field
          label="Password"
          type="password"
          autocomplete="current-password"
          required
          value={password}
          onValue={setPassword}
          error={submit.errorOf("password")}
        />
        <button type="submit" class="primary" disabled={submit.isRunning}>
          {submit.isRunning ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <p class="beside">
        <a href="/sign-up">Sign up</a>
        <a href="/forgotten-password">Forgotten your password?</a>
        {submit.error && <a href="/confirm-again">No mail has come?</a>}
      </p>
    </Entry>
  );
}

export function SignUp({ onSignedIn }: { onSignedIn: () => Promise<void> }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asked, setAsked] = useState<string | null>(null);
  const submit = useSubmit("email", "password", "promo_code");

  const signUp = submit.run(async () => {
    const promo_code = code.trim() || null;
    const { detail } = await send<{ detail: string }>("POST", "accounts/v1/accounts", { email, password, promo_code });
    try {
      // Where nobody has to open the mail first, who has just signed up is signed in.
      await send("POST", "session", { email, password });
    } catch {
      setAsked(detail);
      return;
    }
    navigate("/", { replace: true });
    await onSignedIn();
  });

  if (asked !== null) {
    return (
      <Entry title="Look into your mails">
        <p>
          We have sent a mail to <strong>{email}</strong>. Open the link in it, and then sign in.
        </p>
        <p class="beside">
          <a href="/sign-in">Sign in</a>
          <a href="/confirm-again">No mail has come?</a>
        </p>
      </Entry>
    );
  }
  return (
    <Entry title="Sign up">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <form onSubmit={signUp}>
        <EmailField value={email} onValue={setEmail} error={submit.errorOf("email")} />
        <NewPasswordField label="Password" value={password} onValue={setPassword} error={submit.errorOf("password")} />
        <Field
          label="Promo code (if you have one)"
          autocomplete="off"
          maxLength={40}
          hint="It adds credit to your account."
          value={code}
          onValue={setCode}
          error={submit.errorOf("promo_code")}
        />
        <button type="submit" class="primary" disabled={submit.isRunning}>
          {submit.isRunning ? "Signing up…" : "Sign up"}
        </button>
      </form>
      <p class="beside">
        <a href="/sign-in">I have an account</a>
      </p>
    </Entry>
  );
}
