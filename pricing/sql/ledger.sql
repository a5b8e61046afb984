-- The ledger's own way of writing. One call reserves, one call ends, each in one round trip; an account's
-- calls wait for each other by its row. Statements within see what was committed before each of them.

CREATE OR REPLACE FUNCTION pricing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON pricing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION pricing_refuse_change();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON pricing_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION pricing_refuse_change();

-- Reserve between `p_least` and `p_most` for a subject. `outcome`: ok, again (it holds a reservation already),
-- ended (it had one, and takes nothing more), spent, outside (only images of benchmarks are left), at_once, key_spent. The figures are of what the
-- account may use of the meter now.
CREATE OR REPLACE FUNCTION pricing_reserve(
    p_account bigint, p_subject uuid, p_meter text, p_least bigint, p_most bigint, p_now timestamptz,
    p_period date, p_period_ends timestamptz, p_version bigint, p_limit bigint, p_benchmarks_only boolean,
    p_at_once bigint, p_image text, p_key bigint, p_key_limit bigint,
    p_variant text, p_adapter text, p_skill text, p_source text
) RETURNS TABLE (
    outcome text, reserved bigint, t_granted bigint, t_used bigint, t_held bigint, t_ends timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    pot record;
    v_free bigint;
    v_take bigint;
    v_total bigint := 0;
    v_other boolean := false;
    v_registered boolean := false;
    v_entry bigint;
    v_month bigint;
    v_ids bigint[] := '{}';
    v_takes bigint[] := '{}';
BEGIN
    -- A crash that loses this also loses the job, which is written after it.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM 1 FROM pricing_ledgeraccount a WHERE a.id = p_account FOR NO KEY UPDATE;

    SELECT a.id INTO v_month FROM pricing_allotment a
        WHERE a.account_id = p_account AND a.meter = p_meter AND a.kind = 'plan'
          AND a.period = p_period AND a.plan_version_id IS NOT DISTINCT FROM p_version;
    IF v_month IS NULL THEN
        INSERT INTO pricing_allotment
            (account_id, meter, kind, plan_version_id, period, benchmarks_only, starts_at, ends_at, granted)
        -- It begins with the month, not now: who waited for the account's row brings an earlier clock.
        VALUES (p_account, p_meter, 'plan', p_version, p_period, p_benchmarks_only,
                p_period::timestamp AT TIME ZONE 'UTC', p_period_ends, p_limit)
        RETURNING id INTO v_month;
        IF p_limit > 0 THEN
            INSERT INTO pricing_ledgerentry (allotment_id, account_id, kind, debit, credit, amount)
            VALUES (v_month, p_account, 'grant', 'issued', 'available', p_limit);
        END IF;
    END IF;

    SELECT coalesce(sum(e.amount), 0) INTO v_total FROM pricing_hold h
        JOIN pricing_ledgerentry e ON e.id = h.entry_id WHERE h.subject = p_subject;
    IF v_total > 0 THEN
        outcome := 'again'; reserved := v_total;
    ELSIF EXISTS (SELECT FROM pricing_ledgerentry e WHERE e.subject = p_subject AND e.kind = 'reserve') THEN
        outcome := 'ended'; reserved := 0;
    ELSIF p_at_once IS NOT NULL AND p_at_once <= (
        SELECT count(DISTINCT h.subject) FROM pricing_hold h WHERE h.account_id = p_account AND h.meter = p_meter
    ) THEN
        outcome := 'at_once'; reserved := 0;
    END IF;

    IF outcome IS NULL THEN
        IF p_image <> '' THEN
            v_registered := EXISTS (SELECT FROM pricing_registeredimage r WHERE r.sha256 = p_image);
        END IF;
        -- What has no limit first, then what is for benchmarks alone, then what ends soonest.
        FOR pot IN
            SELECT a.* FROM pricing_allotment a
            WHERE a.account_id = p_account AND a.meter = p_meter
              AND a.starts_at <= p_now AND (a.ends_at IS NULL OR a.ends_at > p_now)
              AND (a.kind <> 'plan' OR a.id = v_month)
            ORDER BY a.granted IS NOT NULL, NOT a.benchmarks_only, a.ends_at NULLS LAST, a.id
            FOR NO KEY UPDATE
        LOOP
            v_free := coalesce(pot.granted - pot.held - pot.used - pot.lapsed, p_most);
            CONTINUE WHEN v_free <= 0;
            IF pot.benchmarks_only AND NOT v_registered THEN
                v_other := true;
                CONTINUE;
            END IF;
            v_take := least(v_free, p_most - v_total);
            v_ids := v_ids || pot.id;
            v_takes := v_takes || v_take;
            v_total := v_total + v_take;
            EXIT WHEN v_total >= p_most;
        END LOOP;
        IF v_total < p_least THEN
            outcome := CASE WHEN v_other THEN 'outside' ELSE 'spent' END; reserved := 0;
        END IF;
    END IF;

    IF outcome IS NULL AND p_key_limit IS NOT NULL THEN
        INSERT INTO pricing_keymonth AS k (key_id, period, taken)
        SELECT p_key, p_period, v_total WHERE v_total <= p_key_limit
        ON CONFLICT (key_id, period) DO UPDATE SET taken = k.taken + v_total
            WHERE k.taken + v_total <= p_key_limit;
        IF NOT FOUND THEN
            outcome := 'key_spent'; reserved := 0;
        END IF;
    END IF;

    IF outcome IS NULL THEN
        outcome := 'ok'; reserved := v_total;
        FOR i IN 1 .. coalesce(array_length(v_ids, 1), 0) LOOP
            INSERT INTO pricing_ledgerentry
                (allotment_id, account_id, kind, debit, credit, amount, subject, key_id, variant, adapter, skill, source)
            VALUES (v_ids[i], p_account, 'reserve', 'available', 'held', v_takes[i], p_subject, p_key,
                    p_variant, p_adapter, p_skill, p_source)
            RETURNING id INTO v_entry;
            INSERT INTO pricing_hold (entry_id, account_id, subject, meter, source)
            VALUES (v_entry, p_account, p_subject, p_meter, p_source);
            UPDATE pricing_allotment SET held = held + v_takes[i] WHERE id = v_ids[i];
        END LOOP;
    END IF;

    SELECT CASE WHEN bool_or(a.granted IS NULL) THEN NULL ELSE sum(a.granted - a.lapsed) END,
           sum(a.used), sum(a.held), min(a.ends_at)
        INTO t_granted, t_used, t_held, t_ends
        FROM pricing_allotment a
        WHERE a.account_id = p_account AND a.meter = p_meter
          AND a.starts_at <= p_now AND (a.ends_at IS NULL OR a.ends_at > p_now)
          AND (a.kind <> 'plan' OR a.id = v_month);
    IF outcome = 'key_spent' THEN
        t_granted := p_key_limit; t_held := 0; t_ends := p_period_ends;
        SELECT coalesce(max(k.taken), 0) INTO t_used FROM pricing_keymonth k
            WHERE k.key_id = p_key AND k.period = p_period;
    ELSIF outcome = 'at_once' THEN
        t_granted := p_at_once;
    END IF;
    RETURN NEXT;
END $$;

-- End a subject's reservation, once: of what it holds `p_used` is used and the rest given back. Gives what was
-- used, or no row where nothing is held (any more).
CREATE OR REPLACE FUNCTION pricing_end(
    p_subject uuid, p_used bigint, p_seconds double precision, p_now timestamptz
) RETURNS TABLE (settled bigint, released bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint;
    v_left bigint := greatest(p_used, 0);
    v_take bigint;
    v_meter text;
    r record;
    v_found boolean := false;
BEGIN
    -- One that a crash loses is found by the sweeper.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT h.account_id, h.meter INTO v_account, v_meter FROM pricing_hold h WHERE h.subject = p_subject LIMIT 1;
    IF v_account IS NULL THEN
        RETURN;
    END IF;
    PERFORM 1 FROM pricing_ledgeraccount a WHERE a.id = v_account FOR NO KEY UPDATE;
    settled := 0;
    released := 0;
    FOR r IN
        DELETE FROM pricing_hold h USING pricing_ledgerentry e
        WHERE h.subject = p_subject AND e.id = h.entry_id RETURNING e.*
    LOOP
        v_found := true;
        v_take := least(v_left, r.amount);
        v_left := v_left - v_take;
        IF v_take > 0 THEN
            INSERT INTO pricing_ledgerentry
                (allotment_id, account_id, kind, debit, credit, amount, subject, closes_id, key_id, variant, adapter, skill, source)
            VALUES (r.allotment_id, r.account_id, 'settle', 'held', 'used', v_take, p_subject, r.id, r.key_id,
                    r.variant, r.adapter, r.skill, r.source);
        END IF;
        IF v_take < r.amount THEN
            INSERT INTO pricing_ledgerentry
                (allotment_id, account_id, kind, debit, credit, amount, subject, closes_id, key_id, variant, adapter, skill, source)
            VALUES (r.allotment_id, r.account_id, 'release', 'held', 'available', r.amount - v_take, p_subject,
                    CASE WHEN v_take = 0 THEN r.id END, r.key_id, r.variant, r.adapter, r.skill, r.source);
            UPDATE pricing_keymonth k SET taken = greatest(0, k.taken - (r.amount - v_take))
                FROM pricing_allotment a
                WHERE r.key_id <> 0 AND v_meter = 'images' AND a.id = r.allotment_id AND k.key_id = r.key_id
                  AND k.period = date_trunc('month', r.created_at AT TIME ZONE 'UTC')::date;
        END IF;
        UPDATE pricing_allotment SET held = held - r.amount, used = used + v_take WHERE id = r.allotment_id;
        settled := settled + v_take;
        released := released + r.amount - v_take;
        IF v_take > 0 THEN
            INSERT INTO pricing_usageday AS u
                (account_id, day, meter, key_id, variant, adapter, skill, source, amount, requests, seconds)
            VALUES (r.account_id, (p_now AT TIME ZONE 'UTC')::date, v_meter, r.key_id, r.variant, r.adapter, r.skill,
                    r.source, v_take, CASE WHEN settled = v_take THEN 1 ELSE 0 END,
                    CASE WHEN settled = v_take THEN p_seconds ELSE 0 END)
            ON CONFLICT (account_id, day, meter, key_id, variant, adapter, skill, source)
            DO UPDATE SET amount = u.amount + EXCLUDED.amount, requests = u.requests + EXCLUDED.requests,
                          seconds = u.seconds + EXCLUDED.seconds;
        END IF;
    END LOOP;
    IF v_found THEN
        RETURN NEXT;
    END IF;
END $$;
