CREATE TABLE "schedule_secrets" (
	"secret_id" uuid NOT NULL,
	"schedule_id" uuid NOT NULL,
	CONSTRAINT "schedule_secrets_secret_id_schedule_id_pk" PRIMARY KEY("secret_id","schedule_id")
);
--> statement-breakpoint
CREATE TABLE "secrets" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"description" text NOT NULL,
	"sealed" "bytea" NOT NULL,
	"key_id" text NOT NULL,
	"version" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "secrets_name_key" UNIQUE("name"),
	CONSTRAINT "secrets_version_check" CHECK ("secrets"."version" >= 1)
);
--> statement-breakpoint
ALTER TABLE "schedule_secrets" ADD CONSTRAINT "schedule_secrets_secret_fk" FOREIGN KEY ("secret_id") REFERENCES "public"."secrets"("id") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "schedule_secrets" ADD CONSTRAINT "schedule_secrets_schedule_fk" FOREIGN KEY ("schedule_id") REFERENCES "public"."schedules"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "schedule_secrets_schedule_idx" ON "schedule_secrets" USING btree ("schedule_id");