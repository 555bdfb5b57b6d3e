// Credit: the balance, its grants, and how to add more.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { BUDGETS } from "../budgets";
import { Field } from "../fields";
import { credit, formatDate, formatMinute, money, parseMoney } from "../format";
import { namesOf } from "../key_names";
import { useLoad } from "../load";
import { Card, type Column, Empty, Notice, Page, Show, Table, Tag } from "../parts";
import { may, RoleHint } from "../roles";
import { useSubmit } from "../submit";
import type {
  Account,
  Balance,
  BudgetState,
  Budgets,
  Grant,
  Grants,
  KeyPage,
  Payment,
  PaymentPage,
  PromoGrant,
  StartedPayment,
} from "../types";

const MAX_GRANTS = 200;
// Each key needs a request of its own.
const MAX_BUDGETED_KEYS = 20;

export function Credit({ account }: { account: Account }) {
  const balance = useLoad((signal) => get<Balance>("balance/v1/balance", {}, signal), []);
  const grants = useLoad((signal) => get<Grants>("balance/v1/grants", { limit: MAX_GRANTS }, signal), []);
  const mayPay = may(account, "credit");
  const reload = () => {
    balance.reload();
    grants.reload();
  };
  return (
    <Page title="Credit">
      <Show of={balance}>{(found) => <Amounts of={found} />}</Show>
      {mayPay && (
        <div class="columns">
          <Redeem onRedeemed={reload} />
          <Payments />
        </div>
      )}
      <RoleHint account={account} right="credit">
        credit is added
      </RoleHint>
      <Card title="Grants">
        <Show of={grants}>
          {(page) =>
            page.grants.length === 0 ? (
              <Empty>No grants yet.</Empty>
            ) : (
              <Table caption="Grants" columns={GRANTS} rows={page.grants} id={(grant) => grant.grant_id} />
            )
          }
        </Show>
      </Card>
      <KeyBudgets />
    </Page>
  );
}

function Amounts({ of: balance }: { of: Balance }) {
  const [soonest] = balance.expires;
  return (
    <dl class="tiles">
      <div class="tile">
        <dt>Credit left</dt>
        <dd class="value">{credit(balance.posted_nano)}</dd>
      </div>
      <div class="tile">
        <dt>Reserved for requests</dt>
        <dd class="value">{money(balance.held_nano)}</dd>
        <dd class="about">returned if not spent</dd>
      </div>
      <div class="tile">
        <dt>Available</dt>
        <dd class="value">{credit(balance.available_nano)}</dd>
      </div>
      {soonest && (
        <div class="tile">
          <dt>Expires first</dt>
          <dd class="value">{money(soonest.remaining_nano)}</dd>
          <dd class="about">on {formatDate(soonest.expires_at)}</dd>
        </div>
      )}
    </dl>
  );
}

function Redeem({ onRedeemed }: { onRedeemed: () => void }) {
  const [code, setCode] = useState("");
  const [added, setAdded] = useState<number | null>(null);
  const submit = useSubmit("code");
  const redeem = submit.run(async () => {
    setAdded(null);
    const grant = await send<PromoGrant>("POST", "accounts/v1/promo-codes/redemptions", { code });
    setAdded(grant.amount_nano);
    setCode("");
    // The grant reaches the ledger within moments.
    for (const ms of [300, 1000, 2500]) setTimeout(onRedeemed, ms);
  });
  return (
    <Card title="Promo code">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {added !== null && <Notice kind="good">{money(added)} of credit was added.</Notice>}
      <form onSubmit={redeem}>
        <Field
          label="Code"
          required
          autocomplete="off"
          maxLength={40}
          value={code}
          onValue={setCode}
          error={submit.errorOf("code")}
        />
        <button type="submit" class="primary" disabled={submit.isRunning}>
          Redeem
        </button>
      </form>
    </Card>
  );
}

/** Hidden if the deployment takes no payments and none was made. */
function Payments() {
  const payments = useLoad((signal) => get<PaymentPage>("accounts/v1/payments", { limit: 20 }, signal), []);
  const page = payments.data;
  if (payments.error === null && (page === null || (page.methods.length === 0 && page.payments.length === 0)))
    return null;
  return (
    <Card title="Payments">
      <Show of={payments}>
        {({ methods, payments: made }) => (
          <>
            {methods.length > 0 && <TopUp />}
            {made.length > 0 && (
              <Table caption="Payments" columns={PAYMENTS} rows={made} id={(payment) => payment.id} />
            )}
          </>
        )}
      </Show>
    </Card>
  );
}

function TopUp() {
  const [amount, setAmount] = useState("25");
  const [mistake, setMistake] = useState<string | null>(null);
  const submit = useSubmit("amount_nano");
  const pay = (event: Event) => {
    event.preventDefault();
    const amount_nano = parseMoney(amount);
    setMistake(amount_nano === null ? "Enter an amount such as 25." : null);
    if (amount_nano === null) return;
    submit.run(async () => {
      const begun = await send<StartedPayment>("POST", "accounts/v1/payments", { amount_nano });
      if (begun.pay_at?.startsWith("https://")) location.assign(begun.pay_at);
    })();
  };
  return (
    <form onSubmit={pay}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <Field
        label="Amount in USD"
        inputMode="decimal"
        required
        value={amount}
        onValue={setAmount}
        error={mistake ?? submit.errorOf("amount_nano")}
      />
      <button type="submit" class="primary" disabled={submit.isRunning}>
        Pay by card
      </button>
    </form>
  );
}

interface KeyBudget extends BudgetState {
  key: string;
}

async function loadBudgets(signal: AbortSignal): Promise<KeyBudget[]> {
  const { keys } = await get<KeyPage>("accounts/v1/keys", { limit: 1000 }, signal);
  const budgeted = keys.filter((key) => key.budgets.length > 0 && key.revoked_at === null).slice(0, MAX_BUDGETED_KEYS);
  const found: KeyBudget[] = [];
  const names = namesOf(keys);
  for (const { id, name } of budgeted) {
    const { budgets } = await get<Budgets>("balance/v1/budgets", { key_id: id }, signal);
    found.push(...budgets.map((budget) => ({ ...budget, key: names.get(id) ?? name })));
  }
  return found;
}

function KeyBudgets() {
  const budgets = useLoad(loadBudgets, []);
  if (budgets.error === null && (budgets.data?.length ?? 0) === 0) return null;
  return (
    <Card title="Budgets of API keys">
      <Show of={budgets}>
        {(found) => (
          <Table
            caption="Budgets"
            columns={KEY_BUDGETS}
            rows={found}
            id={(budget) => `${budget.key} ${budget.budget_id} ${budget.period}`}
          />
        )}
      </Show>
    </Card>
  );
}

const GRANTS: Column<Grant>[] = [
  { head: "Granted", cell: (grant) => formatMinute(grant.granted_at) },
  { head: "Source", cell: (grant) => [grant.source, grant.reason].filter(Boolean).join(": ") },
  {
    head: "State",
    cell: (grant) => <Tag kind={grant.state === "open" ? "good" : "plain"}>{grant.state}</Tag>,
  },
  { head: "Expires", cell: (grant) => (grant.expires_at ? formatDate(grant.expires_at) : "never") },
  { head: "Amount", numeric: true, cell: (grant) => money(grant.amount_nano) },
  { head: "Left", numeric: true, cell: (grant) => credit(grant.remaining_nano) },
];

const PAYMENTS: Column<Payment>[] = [
  { head: "Started", cell: (payment) => formatMinute(payment.created_at) },
  { head: "State", cell: (payment) => <Tag kind={payment.state === "paid" ? "good" : "plain"}>{payment.state}</Tag> },
  { head: "Amount", numeric: true, cell: (payment) => money(payment.amount_nano) },
  { head: "Refunded", numeric: true, cell: (payment) => money(payment.refunded_nano) },
  { head: "Credited", numeric: true, cell: (payment) => money(payment.credited_nano) },
];

const KEY_BUDGETS: Column<KeyBudget>[] = [
  { head: "API key", cell: (budget) => <span class="name">{budget.key}</span> },
  ...BUDGETS,
];
