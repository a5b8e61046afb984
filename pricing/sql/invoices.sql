-- Invoices are written once, and their numbers leave none out: the database sees to both.

CREATE TRIGGER invoice_written_once BEFORE UPDATE OR DELETE ON pricing_invoice
    FOR EACH ROW EXECUTE FUNCTION pricing_refuse_change();
CREATE TRIGGER invoice_no_truncate BEFORE TRUNCATE ON pricing_invoice
    FOR EACH STATEMENT EXECUTE FUNCTION pricing_refuse_change();

-- The number that the next invoice has. Whoever asks waits for whoever asked before, until that one's invoice is
-- written or given up.
CREATE OR REPLACE FUNCTION pricing_invoice_number(p_test boolean) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_next integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pricing_invoice'), p_test::int);
    SELECT coalesce(max(i.sequence), 0) + 1 INTO v_next FROM pricing_invoice i WHERE i.is_test = p_test;
    RETURN v_next;
END $$;

CREATE OR REPLACE FUNCTION pricing_invoice_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_next integer := pricing_invoice_number(NEW.is_test);
BEGIN
    IF NEW.sequence <> v_next THEN
        RAISE EXCEPTION 'The next invoice is number %, not %', v_next, NEW.sequence
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER invoice_numbers_follow BEFORE INSERT ON pricing_invoice
    FOR EACH ROW EXECUTE FUNCTION pricing_invoice_check();
