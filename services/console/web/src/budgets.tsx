// Budgets of keys and projects: their fields in forms, and their state.
import { Field } from "./fields";
import { credit, formatMinute, money, parseMoney, typedMoney } from "./format";
import type { Column } from "./parts";
import type { Budget, BudgetState } from "./types";

type Period = Budget["period"];

/** The text of each field. An empty one means no budget. */
export type TypedBudgets = Record<Period, string>;

const LABELS: Record<Period, string> = { day: "USD per day", month: "USD per month", total: "USD in total" };
const PERIODS = Object.keys(LABELS) as Period[];
const SUFFIXES: Record<Period, string> = { day: "per day", month: "per month", total: "in total" };

export const NO_BUDGETS: TypedBudgets = { day: "", month: "", total: "" };

export function typedBudgets(budgets: readonly Budget[]): TypedBudgets {
  return {
    ...NO_BUDGETS,
    ...Object.fromEntries(budgets.map(({ period, amount_nano }) => [period, typedMoney(amount_nano)])),
  };
}

export function budgetsOf(typed: TypedBudgets): Budget[] {
  return PERIODS.flatMap((period): Budget[] => {
    const amount_nano = parseMoney(typed[period]);
    return amount_nano === null ? [] : [{ period, amount_nano }];
  });
}

export function isWrong(typed: TypedBudgets): boolean {
  return PERIODS.some((period) => mistake(typed[period]) !== null);
}

function mistake(text: string): string | null {
  return text.trim() && parseMoney(text) === null ? "Enter an amount such as 5 or 2.50, or leave it empty." : null;
}

export function budgetText({ period, amount_nano }: Budget): string {
  return `${money(amount_nano)} ${SUFFIXES[period]}`;
}

export function BudgetFields(props: {
  typed: TypedBudgets;
  onChange: (typed: TypedBudgets) => void;
  isChecked: boolean;
  error: string | null;
}) {
  return (
    <>
      <div class="pair three">
        {PERIODS.map((period) => (
          <Field
            key={period}
            label={LABELS[period]}
            inputMode="decimal"
            placeholder="no limit"
            value={props.typed[period]}
            onValue={(text) => props.onChange({ ...props.typed, [period]: text })}
            error={props.isChecked ? mistake(props.typed[period]) : null}
          />
        ))}
      </div>
      {props.error && <p class="field-error">{props.error}</p>}
      <p class="hint">Budgets reset by days and months in UTC.</p>
    </>
  );
}

export const BUDGETS: Column<BudgetState>[] = [
  { head: "Budget", cell: budgetText },
  { head: "Resets", cell: (budget) => (budget.resets_at ? formatMinute(budget.resets_at) : "never") },
  { head: "Spent", numeric: true, cell: (budget) => money(budget.spent_nano) },
  { head: "Held", numeric: true, cell: (budget) => money(budget.held_nano) },
  { head: "Left", numeric: true, cell: (budget) => credit(budget.left_nano) },
];
