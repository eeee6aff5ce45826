-- What drizzle has no words for: room on the page for HOT updates, vacuum before the bloat shows, and the guard
-- that an ended run is never changed.

-- A run is written three times in its life (queued, running, ended); room for the second on its own page keeps it HOT.
ALTER TABLE "runs" SET (
  fillfactor = 60,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 1
);--> statement-breakpoint
-- Every fire rewrites its row and moves its index entry: dead entries at the old end of the index are what a claim
-- would have to step over, so vacuum comes early and does not dawdle.
ALTER TABLE "schedule_states" SET (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0
);--> statement-breakpoint
-- A handful of rows, rewritten every few seconds.
ALTER TABLE "workers" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);--> statement-breakpoint
ALTER TABLE "dispatch_state" SET (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);--> statement-breakpoint
CREATE FUNCTION "runs_refuse_change_after_end"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'run % has ended as % and cannot be changed', OLD.id, OLD.status
    USING ERRCODE = 'integrity_constraint_violation';
END
$$;--> statement-breakpoint
-- The WHEN clause is judged without calling the function, so live runs pay next to nothing.
CREATE TRIGGER "runs_ends_are_final" BEFORE UPDATE ON "runs" FOR EACH ROW
  WHEN (OLD."finished_at" IS NOT NULL)
  EXECUTE FUNCTION "runs_refuse_change_after_end"();
