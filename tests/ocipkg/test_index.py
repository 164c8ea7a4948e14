"""Where each defect of the original, and each report of its users, is held: this table.

The tests of this folder hold what can be seen at the client or the command; what a part decides
alone is held beside that part. A name is found by searching for it.
"""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent

WHERE: dict[str, tuple[str, ...]] = {
    "unverified second download": (
        "test_a_get_asks_for_each_blob_once_and_a_second_get_for_none",
        "test_another_answer_the_second_time_installs_nothing_else",
        "test_wrong_bytes_install_nothing",
    ),
    "path escape by a name": (
        "test_an_archive_with_a_hostile_name_is_not_installed_anywhere",
        "test_an_archive_named_by_a_path_that_exists_deletes_nothing_there",
        "test_a_hostile_name_that_is_typed_is_refused",
        "test_a_name_in_the_store_that_is_not_ours_is_no_package",
        "test_different_packages_have_different_names",
        "test_s21_cve_2007_4559_names_never_lead_out",
    ),
    "poisoned store": (
        "test_after_a_failed_get_nothing_is_installed_and_the_next_one_works",
        "test_after_a_failed_load_nothing_is_installed_and_the_next_one_works",
        "test_killed_at_each_change_the_next_install_works",
        "test_processes_install_while_one_prunes",
    ),
    "list ends at names with __": ("test_list_takes_any_package_and_any_tag",),
    "half-written outputs": (
        "test_an_archive_that_could_not_be_finished_is_not_there",
        "test_packing_that_is_broken_off_leaves_nothing",
        "test_a_failed_block_leaves_nothing",
        "test_ctrl_c_and_sigterm_leave_nothing",
    ),
    "world-readable passwords": (
        "test_a50_s19_written_for_the_owner_alone_whatever_the_umask",
        "test_login_is_checked_kept_and_used",
    ),
    "upload tokens in logs": ("test_no_upload_token_is_in_the_log",),
    "unstable digests": (
        "test_the_same_files_have_one_digest",
        "test_i69_a_tree_has_one_digest_everywhere",
        "test_i69_the_cpu_does_not_change_bytes",
        "test_the_time_comes_from_the_environment_or_the_caller",
    ),
    "masked errors": (
        "test_an_odd_error_body_hides_neither_the_status_nor_itself",
        "test_d01_any_body_is_tolerated",
    ),
    "chunked uploads refused": (
        "test_a_registry_that_refuses_chunked_uploads",
        "test_a_registry_without_patch_gets_whole_blobs_whatever_was_asked_for",
        "test_a_stream_gets_a_length_where_one_is_required",
    ),
    "whole uploads refused": (
        "test_a_registry_that_refuses_whole_uploads",
        "test_a_registry_that_takes_no_whole_blobs_gets_chunks",
    ),
    "Google's registry (OMMX 606)": ("test_every_form_of_the_place_to_upload_to",),
    "stale credentials on a public pull (115)": (
        "test_stale_credentials_in_a_file_stop_no_public_pull",
        "test_the_command_says_that_stored_credentials_were_refused",
        "test_public_content_is_read_without_them_and_the_user_is_told_once",
        "test_a_stale_password_stops_nobody_from_a_public_pull",
    ),
    "anonymous pull, right scope (41, 74)": (
        "test_an_anonymous_pull_asks_for_the_right_to_pull_alone",
        "test_all_may_pull_from_a_public_repository",
    ),
    "challenges, Basic and access_token": (
        "test_challenges_that_the_original_refuses",
        "test_htpasswd",
        "test_a_token_that_expires_in_the_middle_of_an_upload_is_renewed",
    ),
    "passwords with colons": ("test_a_password_with_colons_is_kept_and_used",),
    "credsStore (75)": ("test_a_file_of_docker_desktop_without_a_single_auth_is_used",),
    "Docker Hub's keys": ("test_a43_every_docker_hub_key_is_found",),
    "index for the local architecture (136)": (
        "test_the_index_entry_for_this_machine_is_taken",
        "test_docker_lists_of_manifests",
        "test_platform_is_chosen_from_an_index",
    ),
    "Docker's, plain and zstd layers, whiteouts (44, 60)": (
        "test_images_keep_their_bytes_and_are_unpacked_with_whiteouts_applied",
        "test_i40_images_of_oci_and_docker_with_whiteouts",
    ),
    "manifests written anew": (
        "test_what_they_make_passes_through_us_unchanged",
        "test_images_keep_their_bytes_and_are_unpacked_with_whiteouts_applied",
    ),
    "digest references (128)": (
        "test_they_get_by_digest",
        "test_digest_behind_a_colon_as_ocipkg_writes_it",
    ),
    "tag-only names": ("test_a_bare_tag_is_no_repository_of_docker_hub",),
    "no oci-layout": (
        "test_a_layout_without_its_marker",
        "test_ocipkg_archive",
    ),
    "runnable without diff_ids": (
        "test_what_they_make_passes_through_us_unchanged",
        "test_a_runnable_of_ocipkg_has_no_diff_ids",
    ),
    "wrong diff_ids of 0.2": ("test_a_package_of_old_ocipkg_has_wrong_diff_ids",),
    "two files of one base name": ("test_base_names_that_collide_are_refused_naming_both",),
}

_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def test_the_table_names_tests_that_exist() -> None:
    there = {name for file in TESTS.rglob("test_*.py") for name in _TEST.findall(file.read_text())}
    assert [name for names in WHERE.values() for name in names if name not in there] == []
