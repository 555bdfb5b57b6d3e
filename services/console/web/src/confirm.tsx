// A dialog that asks for confirmation of an irreversible action.
import type { ComponentChildren } from "preact";
import { Dialog, Notice } from "./parts";
import { useSubmit } from "./submit";

interface ConfirmProps {
  title: string;
  /** The label of the button that acts. */
  act: string;
  /** The label of the button that cancels. */
  keep: string;
  onAct: () => Promise<void>;
  onClose: () => void;
  children: ComponentChildren;
}

export function Confirm({ title, act, keep, onAct, onClose, children }: ConfirmProps) {
  const submit = useSubmit();
  return (
    <Dialog title={title} onClose={onClose}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {children}
      <div class="buttons">
        <button type="button" onClick={onClose}>
          {keep}
        </button>
        <button type="button" class="danger" disabled={submit.isRunning} onClick={submit.run(onAct)}>
          {act}
        </button>
      </div>
    </Dialog>
  );
}
