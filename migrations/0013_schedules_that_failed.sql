-- Writes the table anew: some seconds for a million schedules, in which nothing fires.
ALTER TABLE "schedule_states" ADD COLUMN "last_failed" boolean GENERATED ALWAYS AS (coalesce(last_status in ('failed', 'timed_out'), false)) STORED;--> statement-breakpoint
CREATE INDEX "schedule_states_failed_idx" ON "schedule_states" USING btree ("schedule_id") WHERE last_failed;