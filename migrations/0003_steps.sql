CREATE TABLE "run_progress" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"done" double precision NOT NULL,
	"total" double precision,
	"unit" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "run_steps" (
	"run_id" uuid NOT NULL,
	"name" text NOT NULL,
	"status" text NOT NULL,
	"attempts" integer NOT NULL,
	"failures" integer NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	"resume_at" timestamp (3) with time zone,
	"output" jsonb,
	"error" jsonb,
	CONSTRAINT "run_steps_run_id_name_pk" PRIMARY KEY("run_id","name"),
	CONSTRAINT "run_steps_status_check" CHECK ("run_steps"."status" in ('running', 'retrying', 'sleeping', 'succeeded', 'failed')),
	CONSTRAINT "run_steps_finished_check" CHECK (("run_steps"."finished_at" is null) = ("run_steps"."status" not in ('succeeded', 'failed'))),
	CONSTRAINT "run_steps_failed_check" CHECK ("run_steps"."status" <> 'failed' or "run_steps"."error" is not null)
);
--> statement-breakpoint
ALTER TABLE "run_attempts" DROP CONSTRAINT "run_attempts_status_check";--> statement-breakpoint
ALTER TABLE "run_progress" ADD CONSTRAINT "run_progress_run_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_steps" ADD CONSTRAINT "run_steps_run_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_attempts" ADD CONSTRAINT "run_attempts_status_check" CHECK ("run_attempts"."status" in ('failed', 'timed_out', 'lost', 'handed_back', 'waiting'));