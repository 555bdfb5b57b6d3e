// Sign-up and sign-in.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { send } from "../api";
import { EmailField, Field, NewPasswordField, PasswordField } from "../fields";
import { Notice, Page } from "../parts";
import { navigate } from "../router";
import { useSubmit } from "../submit";
import type { SignedUp } from "../types";

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

interface SignInProps {
  onSignedIn: () => Promise<void>;
  hasEnded: boolean;
  place: URL;
  /** An explanation, if the page has a purpose beyond signing in. */
  children?: ComponentChildren;
  /** Shows the sign-up form without leaving the page. */
  onSignUp?: () => void;
}

export function SignIn(props: SignInProps) {
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
      {props.hasEnded && <Notice kind="info">Your session has ended. Sign in again to continue.</Notice>}
      {props.children}
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <form onSubmit={signIn}>
        <EmailField value={email} onValue={setEmail} error={submit.errorOf("email")} />
        <PasswordField value={password} onValue={setPassword} error={submit.errorOf("password")} />
        <button type="submit" class="primary" disabled={submit.isRunning}>
          {submit.isRunning ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <p class="beside">
        {props.onSignUp ? (
          <button type="button" class="link" onClick={props.onSignUp}>
            Sign up
          </button>
        ) : (
          <a href="/sign-up">Sign up</a>
        )}
        <a href="/forgotten-password">Forgot your password?</a>
        {submit.error && <a href="/confirm-again">Didn't get an e-mail?</a>}
      </p>
    </Entry>
  );
}

/** The page of an invitation's link before sign-in. The token stays in the address, so the invitation follows. */
export function Invited(props: SignInProps) {
  const [isNew, setNew] = useState(false);
  const about = (
    <Notice kind="info">
      You are invited to an organization. Use the e-mail address that received the invitation.
    </Notice>
  );
  if (isNew) {
    return (
      <SignUp onSignedIn={props.onSignedIn} onSignIn={() => setNew(false)}>
        {about}
      </SignUp>
    );
  }
  return (
    <SignIn {...props} onSignUp={() => setNew(true)}>
      {about}
    </SignIn>
  );
}

interface SignUpProps {
  onSignedIn: () => Promise<void>;
  children?: ComponentChildren;
  /** Shows the sign-in form without leaving the page. */
  onSignIn?: () => void;
}

export function SignUp({ onSignedIn, children, onSignIn }: SignUpProps) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asked, setAsked] = useState<string | null>(null);
  const submit = useSubmit("email", "password", "promo_code");

  const signUp = submit.run(async () => {
    const promo_code = code.trim() || null;
    const { detail } = await send<SignedUp>("POST", "accounts/v1/accounts", { email, password, promo_code });
    try {
      // Sign in, unless the deployment requires a confirmed e-mail address first.
      await send("POST", "session", { email, password });
    } catch {
      setAsked(detail);
      return;
    }
    if (!onSignIn) navigate("/", { replace: true });
    await onSignedIn();
  });

  if (asked !== null) {
    return (
      <Entry title="Check your e-mail">
        <p>
          We have sent an e-mail to <strong>{email}</strong>. Open the link in it and confirm with your password.
          {onSignIn && " Then open the link of your invitation again."}
        </p>
        <p class="beside">
          <a href="/sign-in">Sign in</a>
          <a href="/confirm-again">Didn't get an e-mail?</a>
        </p>
      </Entry>
    );
  }
  return (
    <Entry title="Sign up">
      {children}
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
        {onSignIn ? (
          <button type="button" class="link" onClick={onSignIn}>
            I have an account
          </button>
        ) : (
          <a href="/sign-in">I have an account</a>
        )}
      </p>
    </Entry>
  );
}
