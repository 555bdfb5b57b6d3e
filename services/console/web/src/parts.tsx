// The building blocks of pages.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Loaded } from "./load";

let isFirstPage = true;

export function Page({
  title,
  actions,
  children,
}: {
  title: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Tollgate`;
    // A screen reader announces the new page through its heading. It reads the first page from the beginning.
    if (!isFirstPage) heading.current?.focus({ preventScroll: true });
    isFirstPage = false;
  }, [title]);
  return (
    <>
      <div class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {actions}
      </div>
      {children}
    </>
  );
}

export function Notice({ kind, children }: { kind: "error" | "good" | "info"; children: ComponentChildren }) {
  return (
    <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      {children}
    </div>
  );
}

/** Shows loaded data, an error or the progress. */
export function Show<T>({ of, children }: { of: Loaded<T>; children: (data: T) => ComponentChildren }) {
  return (
    <>
      {of.error !== null && (
        <Notice kind="error">
          {of.error}{" "}
          <button type="button" class="link" onClick={of.reload}>
            Try again
          </button>
        </Notice>
      )}
      {of.data !== null ? children(of.data) : of.error === null && <Loading />}
    </>
  );
}

export function Loading() {
  return (
    <p class="loading" role="status">
      Loading…
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

export function Card({
  title,
  actions,
  children,
}: {
  title?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="card">
      {(title || actions) && (
        <div class="card-head">
          {title && <h2>{title}</h2>}
          {actions}
        </div>
      )}
      {children}
    </section>
  );
}

export interface Column<T> {
  head: string;
  /** Aligned to the right. */
  numeric?: boolean;
  /** May wrap to several lines. */
  wraps?: boolean;
  /** Buttons, which stay visible in narrow windows. The head is for screen readers. */
  acts?: boolean;
  cell: (row: T) => ComponentChildren;
}

function classOf<T>(column: Column<T>): string | undefined {
  return (["numeric", "wraps", "acts"] as const).find((name) => column[name]);
}

export function Table<T>(props: { caption: string; columns: Column<T>[]; rows: T[]; id: (row: T) => string }) {
  return (
    <section class="table" aria-label={props.caption} tabIndex={0}>
      <table>
        <caption class="hidden">{props.caption}</caption>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <th key={column.head} scope="col" class={classOf(column)}>
                {column.acts ? <span class="hidden">{column.head}</span> : column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={props.id(row)}>
              {props.columns.map((column) => (
                <td key={column.head} class={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** A modal dialog: the browser keeps the focus in it, and Escape closes it. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
    return () => dialog.current?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [feedback, setFeedback] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setFeedback("Copied");
    } catch {
      // Without TLS, browsers do not let pages write to the clipboard.
      setFeedback("Select the text and copy it");
    }
    setTimeout(() => setFeedback(""), 2500);
  };
  return (
    <button type="button" class="small" onClick={copy}>
      {feedback || label}
      <span class="hidden" role="status">
        {feedback}
      </span>
    </button>
  );
}

export function Code({ text, label }: { text: string; label: string }) {
  return (
    <div class="code">
      <pre>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} label={label} />
    </div>
  );
}

export function Tag({ kind, children }: { kind: "good" | "bad" | "plain"; children: ComponentChildren }) {
  return <span class={`tag ${kind}`}>{children}</span>;
}

/** Names and values. Entries without a value are omitted. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
