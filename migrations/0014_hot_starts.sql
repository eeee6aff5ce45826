CREATE INDEX "runs_notable_of_schedule_idx" ON "runs" USING btree ("schedule_id","id") WHERE finished_at is not null and (reason is not null or error is not null);--> statement-breakpoint
-- Of a herd all runs of a page start at once, and each is some bytes longer then; with 60 two of five starts had to go to
-- another page, and so into three indexes. The table does not grow by it: what is left open here is filled there.
ALTER TABLE "runs" SET (fillfactor = 48);--> statement-breakpoint
-- AFTER instead of BEFORE, which locks each row, and writes that down, before it looks at the WHEN clause.
CREATE OR REPLACE TRIGGER "runs_ends_are_final" AFTER UPDATE ON "runs" FOR EACH ROW
  WHEN (OLD."finished_at" IS NOT NULL)
  EXECUTE FUNCTION "runs_refuse_change_after_end"();
