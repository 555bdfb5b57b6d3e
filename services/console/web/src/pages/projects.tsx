// Projects: groups of keys with shared budgets, and their spend.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { BudgetFields, budgetsOf, budgetText, isWrong, NO_BUDGETS, typedBudgets } from "../budgets";
import { Confirm } from "../confirm";
import { Field, FormButtons } from "../fields";
import { count, money } from "../format";
import { useLoad } from "../load";
import { Card, type Column, Dialog, Empty, Notice, Page, Show, Table } from "../parts";
import { may, RoleHint } from "../roles";
import { useSubmit } from "../submit";
import type { Account, Budgets, Project, ProjectList, Usage } from "../types";

type Act = { kind: "edit" | "archive"; project: Project } | { kind: "create" };

/** Numbers of the current month in UTC, as for budgets. */
interface Numbers {
  spent: ReadonlyMap<string, { cost_nano: number; requests: number }>;
  /** By project and period. */
  budgets: ReadonlyMap<string, number>;
}

async function loadNumbers(signal: AbortSignal): Promise<Numbers> {
  const now = new Date();
  const start = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth())).toISOString();
  const [usage, { budgets }] = await Promise.all([
    get<Usage>("analytics/v1/usage", { start, group_by: "project", limit: 10_000 }, signal),
    get<Budgets>("balance/v1/budgets", {}, signal),
  ]);
  return {
    spent: new Map(usage.data.map((group) => [group.project ?? "", group])),
    budgets: new Map(budgets.map((budget) => [`${budget.budget_id} ${budget.period}`, budget.spent_nano])),
  };
}

export function Projects({ account }: { account: Account }) {
  const [act, setAct] = useState<Act | null>(null);
  const projects = useLoad((signal) => get<ProjectList>("accounts/v1/projects", {}, signal), []);
  const numbers = useLoad(loadNumbers, []);
  const mayWrite = may(account, "organization");
  const create = (
    <button type="button" class="primary" onClick={() => setAct({ kind: "create" })}>
      Create a project
    </button>
  );
  const close = () => setAct(null);
  const done = () => {
    close();
    projects.reload();
  };
  return (
    <Page title="Projects" actions={mayWrite && create}>
      <Card>
        <Show of={projects}>
          {(found) =>
            found.projects.length === 0 ? (
              <Empty>
                <p>No projects yet. A project groups API keys and limits their combined spend.</p>
                {mayWrite && create}
              </Empty>
            ) : (
              <Table
                caption="Projects"
                columns={columns(numbers.data, mayWrite ? setAct : null)}
                rows={found.projects}
                id={(project) => project.id}
              />
            )
          }
        </Show>
        {numbers.error && <Notice kind="error">{numbers.error}</Notice>}
        <RoleHint account={account} right="organization">
          projects are managed
        </RoleHint>
      </Card>
      {act?.kind === "create" && <ProjectForm project={null} onClose={close} onDone={done} />}
      {act?.kind === "edit" && <ProjectForm project={act.project} onClose={close} onDone={done} />}
      {act?.kind === "archive" && <Archive of={act.project} onClose={close} onDone={done} />}
    </Page>
  );
}

function columns(numbers: Numbers | null, onAct: ((act: Act) => void) | null): Column<Project>[] {
  const spent = (project: Project) => numbers?.spent.get(project.id) ?? { cost_nano: 0, requests: 0 };
  const acts: Column<Project> = {
    head: "Actions",
    acts: true,
    cell: (project) => (
      <>
        <button
          type="button"
          class="small"
          aria-label={`Edit ${project.name}`}
          onClick={() => onAct?.({ kind: "edit", project })}
        >
          Edit
        </button>
        <button
          type="button"
          class="small danger"
          aria-label={`Archive ${project.name}`}
          onClick={() => onAct?.({ kind: "archive", project })}
        >
          Archive
        </button>
      </>
    ),
  };
  return [
    { head: "Name", cell: (project) => <span class="name">{project.name}</span> },
    { head: "Budgets", wraps: true, cell: (project) => <Bounds of={project} numbers={numbers} /> },
    {
      head: "Spent this month",
      numeric: true,
      cell: (project) => (numbers === null ? "…" : money(spent(project).cost_nano)),
    },
    { head: "Requests", numeric: true, cell: (project) => (numbers === null ? "…" : count(spent(project).requests)) },
    {
      head: "Links",
      cell: (project) => (
        <>
          <a href={`/keys?project=${project.id}`} aria-label={`Keys of ${project.name}`}>
            keys
          </a>
          {" · "}
          <a href={`/requests?project=${project.id}`} aria-label={`Requests of ${project.name}`}>
            requests
          </a>
        </>
      ),
    },
    ...(onAct ? [acts] : []),
  ];
}

function Bounds({ of: project, numbers }: { of: Project; numbers: Numbers | null }) {
  if (project.budgets.length === 0) return <>none</>;
  return (
    <ul class="lines">
      {project.budgets.map((budget) => (
        <li key={budget.period}>
          {budgetText(budget)}
          {numbers && (
            <span class="hint">
              , {money(numbers.budgets.get(`project:${project.id} ${budget.period}`) ?? 0)} spent
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

interface FormProps {
  project: Project | null;
  onClose: () => void;
  onDone: () => void;
}

function ProjectForm({ project, onClose, onDone }: FormProps) {
  const [name, setName] = useState(project?.name ?? "");
  const [budgets, setBudgets] = useState(project ? typedBudgets(project.budgets) : NO_BUDGETS);
  const [isChecked, setChecked] = useState(false);
  const submit = useSubmit("name", "budgets");
  const save = (event: Event) => {
    event.preventDefault();
    setChecked(true);
    if (isWrong(budgets)) return;
    submit.run(async () => {
      const wanted = { name: name.trim(), budgets: budgetsOf(budgets) };
      if (project === null) await send("POST", "accounts/v1/projects", wanted);
      else await send("PATCH", `accounts/v1/projects/${project.id}`, changed(project, wanted));
      onDone();
    })();
  };
  return (
    <Dialog title={project ? `Edit “${project.name}”` : "Create a project"} onClose={onClose}>
      <form onSubmit={save}>
        {submit.error && <Notice kind="error">{submit.error}</Notice>}
        <Field label="Name" required maxLength={100} value={name} onValue={setName} error={submit.errorOf("name")} />
        <p>The maximum that its keys may spend together:</p>
        <BudgetFields typed={budgets} onChange={setBudgets} isChecked={isChecked} error={submit.errorOf("budgets")} />
        <FormButtons
          submit={submit}
          act={project ? "Save" : "Create the project"}
          running="Saving…"
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}

function changed(project: Project, wanted: Pick<Project, "name" | "budgets">): Partial<Project> {
  const hasOtherBudgets = JSON.stringify(budgetsOf(typedBudgets(project.budgets))) !== JSON.stringify(wanted.budgets);
  return {
    ...(wanted.name === project.name ? {} : { name: wanted.name }),
    ...(hasOtherBudgets ? { budgets: wanted.budgets } : {}),
  };
}

function Archive({ of: project, onClose, onDone }: { of: Project; onClose: () => void; onDone: () => void }) {
  const archive = async () => {
    await send("DELETE", `accounts/v1/projects/${project.id}`);
    onDone();
  };
  return (
    <Confirm
      title={`Archive “${project.name}”?`}
      act="Archive the project"
      keep="Keep it"
      onAct={archive}
      onClose={onClose}
    >
      <p>
        Keys can no longer be assigned to it. Its usage stays in your reports. Revoke its keys or move them to another
        project first.
      </p>
    </Confirm>
  );
}
