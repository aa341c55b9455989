"""LiteLLM's keys that have no part here, each with the reason.

Sources: see `litellm_keys`.
"""

from __future__ import annotations

__all__ = ["IGNORED", "PARAMS_IGNORED", "TOP_IGNORED", "ignored"]

# Reasons, each with the keys that it holds for.
_REASONS: dict[str, str] = {
    "use --log-level": """set_verbose json_logs debug_level suppress_debug_info log_raw_request_response
        log_client_error_tracebacks request_correlation_in_logs expose_router_debug_in_errors
        redact_messages_in_exceptions""",
    "there is none": "telemetry",
    "integrations of litellm are not called": """callbacks success_callback failure_callback service_callback
        service_callbacks input_callback audit_log_callbacks callback_settings turn_off_message_logging
        redact_user_api_key_info langfuse_default_tags langfuse_enable_update_trace_keys s3_callback_params
        s3_audit_callback_params aws_sqs_callback_params datadog_params datadog_use_v1
        datadog_llm_observability_params gcs_pub_sub_use_v1 generic_api_use_v1 generic_logger_headers
        langsmith_batch_size argilla_batch_size argilla_transformation_object newrelic_params otel tracing
        otel_tenant_destination_mode cold_storage_custom_logger logging disable_streaming_logging
        allow_dynamic_callback_disabling standard_logging_payload_excluded_fields
        global_disable_no_log_param post_call_rules pre_call_rules custom_provider_map
        websearch_interception_params code_interpreter_interception_params""",
    "Prometheus metrics are not built yet": """prometheus_emit_input_sequence_length_label
        prometheus_emit_rate_limit_labels
        prometheus_emit_stream_label prometheus_exclude_labels prometheus_exclude_metrics
        prometheus_initialize_budget_metrics prometheus_latency_buckets prometheus_metrics_config
        custom_prometheus_metadata_labels custom_prometheus_tags require_auth_for_metrics_endpoint
        disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only
        enable_end_user_cost_tracking_prometheus_only""",
    "the response cache is set by cache and cache_params, its time by their ttl": """caching caching_with_models
        cache_kwargs caching_groups default_in_memory_ttl default_redis_ttl default_redis_batch_cache_expiry
        enable_caching_on_provider_specific_optional_params enable_redis_auth_cache""",
    "set redis_url: it says all of it": """redis_host redis_port redis_password redis_db coordination_redis
        force_redis_hash_tag_grouping use_redis_transaction_buffer use_shared_health_check""",
    "set circuit_breaker: its failure_threshold and timeout": """allowed_fails allowed_fails_policy
        cooldown_time disable_cooldowns
        enable_health_check_routing health_check_staleness_threshold health_check_ignore_transient_errors""",
    "set rate_limit, tenant_rate_limits or model_rate_limits": """max_parallel_requests
        global_max_parallel_requests default_max_parallel_requests
        max_in_flight_requests_per_worker max_queued_requests_per_worker admission_queue_timeout_seconds
        default_priority polling_interval priority_reservation priority_reservation_settings
        fail_closed_rate_limit_enforcement disable_retry_on_max_parallel_request_limit_error""",
    "budgets are not built yet": """max_budget budget_duration max_user_budget max_end_user_budget
        max_end_user_budget_id max_internal_user_budget default_max_internal_user_budget max_ui_session_budget
        internal_user_budget_duration default_soft_budget tag_budget_config provider_budget_config
        proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time disable_reset_budget budget_rollover
        disable_budget_reservation fail_closed_budget_enforcement budget_exceeded_status_code
        block_requests_for_models_without_pricing budget_reset_time""",
    "set validation: its guardrails": """guardrails guardrail_list output_parse_pii presidio_ad_hoc_recognizers
        blocked_user_list banned_keywords_list openai_moderations_model_name moderation_model llamaguard_model_name
        llamaguard_unsafe_content_categories llm_guard_mode google_moderation_confidence_threshold
        enable_json_schema_validation skip_system_message_in_guardrail skip_tool_message_in_guardrail policies
        policy_attachments""",
    "every operation is recorded: set database_url, data_dir and records": """database_url
        database_connection_pool_limit database_connection_timeout
        database_type database_args database_connect_timeout database_socket_timeout
        disable_prisma_schema_update allow_requests_on_db_unavailable proxy_batch_write_at proxy_batch_polling_interval
        disable_spend_logs disable_spend_updates store_prompts_in_spend_logs spend_logs_metadata_fields
        maximum_spend_logs_retention_period maximum_spend_logs_retention_interval maximum_spend_logs_cleanup_cron
        maximum_spend_logs_cleanup_batch_size spend_report_frequency store_audit_logs use_spend_logs_partitioning
        scheduled_job_stagger spend_capture_rate_check extra_spend_tag_headers cost_discount_config""",
    "keys, users and teams are not built yet: master_key is the one key": """custom_auth custom_auth_run_common_checks
        custom_key_generate custom_key_update custom_key_policy custom_sso custom_ui_sso_sign_in_handler
        key_generation_settings upperbound_key_generate_params default_key_generate_params key_alias_pattern
        enable_key_alias_format_validation default_team_settings default_team_params default_internal_user_params
        default_team_disabled enable_jwt_auth litellm_jwtauth enable_oauth2_auth enable_oauth2_proxy_auth
        oauth2_config_mappings allow_user_auth allowed_routes public_routes admin_only_routes allowed_ips
        trusted_proxy_ranges use_x_forwarded_for
        enforced_params enforce_user_param reject_clientside_metadata_tags service_account_settings role_permissions
        user_api_key_cache_ttl user_api_key_cache_max_size disable_master_key_return
        disable_adding_master_key_hash_to_db dangerously_permit_weak_or_unset_master_key
        litellm_key_header_name user_header_name user_header_mappings ui_access_mode
        custom_team_metadata_validate team_metadata_schema overwrite_user_with_key_hash validate_end_user_id_in_db
        disable_env_credential_login disable_password_login_when_sso_enabled apply_user_budget_to_team_keys
        disable_auto_add_proxy_admin_to_teams enforce_fallback_model_access fallback_access_check
        fallback_budget_check allow_cli_sso_verification_uri_complete missing_session_id
        model_group_settings public_model_groups public_model_groups_links public_agent_groups""",
    "alerts are not built yet": """alerting alerting_threshold alerting_args alert_types alert_to_webhook_url
        alert_type_config alerting_config default_key_max_budget_alert_emails email""",
    "set health_checks": """background_health_checks health_check_interval
        health_check_details health_check_concurrency background_health_check_model_groups
        health_check_skip_disabled_background_models model_list_healthy_only""",
    "models and settings are configured in the file": """store_model_in_db supported_db_objects
        proxy_config_reload_interval_seconds infer_model_from_keys model_cost_map_url ignore_invalid_deployments
        disable_model_info_refresh control_plane_url worker_registry""",
    "secrets come from os.environ/NAME": """key_management_system key_management_settings use_google_kms
        use_azure_key_vault""",
    "set it on the deployment: api_key, api_base, api_version of its litellm_params": """api_key api_base api_version
        openai_key azure_key anthropic_key cohere_key groq_key huggingface_key openrouter_key replicate_key
        togetherai_api_key vertex_project vertex_location proxy_auth organization credential_list""",
    "a prompt too long falls back by context_window_fallbacks": """enable_pre_call_checks enable_pre_call_check
        optional_pre_call_checks""",
    "what may be retried is decided by the error's type": """retry_policy model_group_retry_policy
        num_retries_per_request""",
    "the provider's Retry-After is honoured; retries.base and retries.cap set the waits": "retry_after",
    "a stream or call whose caller goes away is always ended": "cancel_on_disconnect",
    "requests name no URL that the gateway fetches": """user_url_validation user_url_allowed_hosts
        provider_url_destination_allowed_hosts""",
    "each fallback is asked once, however many there are": "max_fallbacks enable_weighted_failover",
    "http.first_byte_timeout and http.chunk_timeout bound a stream": "stream_timeout",
    "routing by tag is not built yet": "enable_tag_filtering tag_filtering_match_any tag_routing_prefix",
    "routing by session or by group is not built yet": """deployment_affinity_ttl_seconds
        model_group_affinity_config routing_groups auto_router_capability_limit""",
    "the strategies need no arguments": "routing_strategy_args",
    "certificates are always verified; name your own authority in http.ca_file": """ssl_verify ssl_certificate
        ssl_security_level ssl_ecdh_curve""",
    "the client is Gatewright's own": """client_ttl force_ipv4 disable_aiohttp_transport use_aiohttp_transport
        disable_aiohttp_trust_env aiohttp_trust_env http2 use_client client_session aclient_session
        router_general_settings return_response_headers""",
    "the server sends no pings": "sse_keepalive_ping_interval_seconds",
    "errors carry the request's id in their header": "include_call_id_in_error_body expose_fallback_errors_to_caller",
    "what the provider gets is what was asked": """modify_params enable_preview_features
        disable_add_transform_inline_image_block disable_copilot_system_to_assistant disable_hf_tokenizer_download
        disable_stop_sequence_limit LITELLM_DISABLE_STOP_SEQUENCE_LIMIT add_function_to_prompt
        use_chat_completions_url_for_anthropic_messages route_all_chat_openai_to_responses
        openai_system_messages_first reasoning_auto_summary filter_invalid_headers
        forward_client_headers_to_llm_api forward_openai_org_id forward_traceparent_to_llm_provider
        add_user_information_to_llm_headers include_cost_in_streaming_usage allow_client_side_credentials
        drop_params_from_client max_tokens longer_context_model_fallback_dict""",
    "the server has no such routes": """assistants_config search_tools mcp_aliases mcp_semantic_tool_filter
        mcp_internal_ip_ranges mcp_required_fields user_mcp_management_mode pass_through_endpoints
        pass_through_request_timeout use_client_credentials_pass_through_routes image_generation_model
        disable_responses_id_security responses max_batch_file_size_mb max_file_size_mb allowed_file_extensions
        blocked_file_extensions vector_store_registry global_prompt_directory global_bitbucket_config
        enable_claude_code_gateway claude_code_gateway_managed_settings max_file_downloads_per_minute
        vector_store_deny_by_default search_tool_deny_by_default enable_public_model_hub
        responses_websocket_session_limit_seconds enable_openai_websocket_passthrough transcribe_media_buckets
        allow_unmanaged_response_ids
        global_gitlab_config enable_loadbalancing_on_batch_endpoints require_managed_files plugins""",
    "the size of requests and answers is not bounded yet": "max_request_size_mb max_response_size_mb",
    "nothing here needs a licence": "litellm_license",
}
IGNORED: dict[str, str] = {key: reason for reason, keys in _REASONS.items() for key in keys.split()}
_IGNORED_PREFIXES = {
    "mcp_": "the server has no such routes",
    "max_batch_": "the server has no such routes",
    "prometheus_": "Prometheus metrics are not built yet",
    "database_": "every operation is recorded: set database_url, data_dir and records",
    "maximum_": "every operation is recorded: set database_url, data_dir and records",
    "password_policy_": "keys, users and teams are not built yet: master_key is the one key",
    "max_failed_login_": "keys, users and teams are not built yet: master_key is the one key",
    "team_metadata_validation_": "keys, users and teams are not built yet: master_key is the one key",
    "failed_login_": "keys, users and teams are not built yet: master_key is the one key",
}


def ignored(key: str) -> str | None:
    """Give the reason why a key of LiteLLM's sections has no part here; None where it is no key of LiteLLM's."""
    prefixed = (reason for prefix, reason in _IGNORED_PREFIXES.items() if key.startswith(prefix))
    return IGNORED.get(key) or next(prefixed, None)


def _because(reason: str, keys: str) -> dict[str, str]:
    return dict.fromkeys(keys.split(), reason)


TOP_IGNORED: dict[str, str] = {
    **_because("set validation: its guardrails", "guardrails policies policy_attachments"),
    **_because(
        "the server has no such routes",
        """mcp_servers mcp_tools search_tools sandbox_tools finetune_settings files_settings assistant_settings
        vector_store_registry pass_through_endpoints default_vertex_config agents agent_list plugins
        classifier_plugin""",
    ),
    "callback_settings": "integrations of litellm are not called",
    "prompts": "templates are not built yet",
    "worker_registry": "models and settings are configured in the file",
    "general": "it is called general_settings",
}

# Of a deployment's `litellm_params`: nothing that its provider is to be sent.
PARAMS_IGNORED: dict[str, str] = {
    "stream_timeout": "http.first_byte_timeout and http.chunk_timeout bound a stream",
    **_because("max_retries holds for all deployments", "max_retries num_retries"),
    **_because("budgets are not built yet", "max_budget budget_duration"),
    **_because(
        "a deployment has rpm, tpm and max_parallel_requests",
        "itpm otpm max_file_size_mb default_api_key_tpm_limit default_api_key_rpm_limit",
    ),
    **_because("set circuit_breaker: it holds for all deployments", "cooldown_time allowed_fails"),
    **_because("routing by tag is not built yet", "tags tag_regex"),
    **_because("guardrails hold for all deployments: set validation", "guardrails"),
    **_because("it is not built yet", "cache_control_injection_points"),
    **_because(
        "the server has no use for it",
        """use_in_pass_through use_litellm_proxy litellm_trace_id vector_store_id keepalive_seconds model_info
        configurable_clientside_auth_params allow_client_keepalive_override""",
    ),
    **_because(
        "what the provider gets and gives is what was asked",
        "merge_reasoning_content_in_choices use_chat_completions_api mock_response",
    ),
}
