use std::path::PathBuf;

use tests::{
    bins::{producer, render},
    fixture::Folder,
    media::rgb_frames,
    video::{frame_count, frame_hashes, rgb_frame},
};

const GSAP: &str = "<script src=\"https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js\"></script>";

/// A composition with a GSAP timeline, `timeline`, that a script fills.
fn animated(folder: &Folder, seconds: u32, body: &str, script: &str) -> PathBuf {
    let body = format!(
        "{GSAP}<style>body {{ background: #000 }} .box {{ position: absolute; left: 0; top: 40px; width: 20px; height: 20px; background: #fff }}</style>{body}\n\
         <script>const timeline = gsap.timeline({{ paused: true }});\n{script}\nwindow.__timelines = {{ main: timeline }};</script>"
    );
    folder.project("site", &format!("data-duration=\"{seconds}\""), &body)
}

/// Renders a composition of 30 frames a second whole and in chunks of 2 s, which must have the same frames.
fn whole(folder: &Folder, project: &std::path::Path) -> PathBuf {
    let (whole, cut) = (folder.join("whole.mp4"), folder.join("cut.mp4"));
    render(project, &whole, &["--chunks", "1", "--quality", "high"]);
    render(project, &cut, &["--chunk-size", "60", "--quality", "high"]);
    assert!(frame_hashes(&whole) == frame_hashes(&cut), "frames differ with chunks");
    whole
}

/// Where the box begins in a frame.
fn place(video: &std::path::Path, frame: u32) -> usize {
    let pixels = rgb_frame(video, frame);
    (0..320).find(|x| pixels[(50 * 320 + x) * 3] > 128).unwrap_or_else(|| panic!("no box in frame {frame}"))
}

/// Checks where the box begins in some frames.
fn is_at(video: &std::path::Path, expected: &[(u32, usize)]) {
    for (frame, expected) in expected {
        let found = place(video, *frame);
        assert!(found.abs_diff(*expected) <= 1, "frame {frame}: {found}, not {expected}");
    }
}

/// What GSAP works out when a tween begins must not depend on where the page was sought to first.
#[test]
#[ignore = "needs Chromium"]
fn tweens_that_begin_where_others_end_are_the_same_in_every_chunk() {
    let folder = Folder::new();
    let script = "timeline.to('.box', { x: '+=60', duration: 2, ease: 'none' }).to('.box', { x: '+=60', duration: 2, ease: 'none' })\n\
                  .to('.box', { x: 60, duration: 1, ease: 'none' }).fromTo('.box', { x: 0 }, { x: 120, duration: 1, ease: 'none' });";
    let video = whole(&folder, &animated(&folder, 6, "<div class=\"box\"></div>", script));
    is_at(&video, &[(0, 0), (30, 30), (60, 60), (90, 90), (120, 120), (135, 90), (165, 60)]);
}

#[test]
#[ignore = "needs Chromium"]
fn calls_sets_and_classes_of_a_timeline_hold_in_every_chunk() {
    let folder = Folder::new();
    let script = "timeline.set('.box', { x: 40 }, 0).set('.box', { x: 100 }, 1).call(() => document.body.classList.add('late'), null, 1.5)\n\
                  .to('.box', { x: 200, duration: 1, repeat: 2, yoyo: true, ease: 'none' }, 3)\n\
                  .to('.box', { className: 'box wide', duration: 0.1 }, 5);";
    let video = whole(
        &folder,
        &animated(&folder, 6, "<style>.late .box { margin-left: 10px }</style><div class=\"box\"></div>", script),
    );
    is_at(&video, &[(0, 40), (29, 40), (30, 100), (44, 100), (46, 110), (75, 110), (105, 160), (120, 210)]);
}

/// Where a tween begins depends on what others, chance and scripts have done by then, in every chunk the same.
#[test]
#[ignore = "needs Chromium"]
fn what_tweens_find_when_they_begin_is_the_same_in_every_chunk() {
    let folder = Folder::new();
    let scripts = [
        "timeline.to('.box', { x: 100, duration: 2 }, 0).to('.box', { x: 240, duration: 2 }, 1);",
        "timeline.from('.box', { x: 200, duration: 2 }, 0.5).to('.box', { x: 100, duration: 0.5 }, 1).to('.box', { x: '+=50', duration: 2 }, 1.2);",
        "timeline.add(gsap.timeline().to('.box', { x: 90, duration: 1 }).to('.box', { x: 30, duration: 0.5 }, 1.5)).to('.box', { x: 200, duration: 0.4 }, 1.1);",
        "timeline.to('.box', { x: 'random(100, 240)', duration: 1 }, 1);",
        "timeline.to('.box', { keyframes: [{ x: 'random(100, 240)' }, { x: () => Math.random() * 200 + 50 }], duration: 3 }, 0.5);",
        "timeline.call(() => gsap.set('.box', { x: 50 + Math.random() * 200 }), null, 1.9);",
        "timeline.to('.box', { x: 'random(30, 240)', duration: 0.7, repeat: 4, repeatRefresh: true });",
        "const inner = gsap.timeline({ repeat: 5, yoyo: true }).to('.box', { x: 200, duration: 0.5 }).to('.box', { x: 60, duration: 0.8 }, 0.2);\n\
         timeline.add(inner, 0.3);",
        "timeline.call(() => timeline.to('.box', { x: 'random(60, 240)', duration: 0.5 }, 1.2), null, 0.4).to({}, { duration: 4 }, 0);",
        "timeline.to('.box', { x: 200, duration: 1 }, 0.2).from('.box', { x: 60, duration: 0.6 }, 1.3).to({}, { duration: 4 }, 0);\n\
         gsap.set('.box', { marginLeft: 30 });",
        "gsap.to('.box', { x: 200, duration: 3.5, ease: 'none' });",
        "timeline.call(() => gsap.to('.box', { x: 220, duration: 2 }), null, 1.1);",
        "timeline.call(() => gsap.delayedCall(0.5, () => gsap.set('.box', { x: 90 })), null, 1);",
        "timeline.from('.box', { scale: 0, x: 30.3, duration: 0.8, ease: 'power3.out' }, 0.3).to({}, { duration: 4 }, 0);\n\
         gsap.set('.box', { left: 40.4, top: 40.3 });",
        "let turns = 0; timeline.to({}, { duration: 0.3, repeat: 8, onRepeat: () => gsap.set('.box', { x: ++turns * 25 }) });",
        "let drawn = 0; timeline.to({}, { duration: 3, onUpdate: () => gsap.set('.box', { x: drawn++ * 2 }) });",
        "const world = { x: 30, step() { this.x += 2; } };\n\
         timeline.to({}, { duration: 3, onUpdate() { world.step(); gsap.set('.box', { x: world.x }); } });",
        "const follow = gsap.quickTo('.box', 'x', { duration: 0.6 });\n\
         timeline.to({}, { duration: 3.5, onUpdate: () => follow(40 + 150 * (timeline.time() > 1.5)) });",
        "gsap.set('.box', { marginLeft: 30, transition: 'all 0.4s' });\n\
         timeline.from('.box', { x: 200, opacity: 0, duration: 1 }, 1.6).to('.box', { width: 60, duration: 1 }, 2.2).to({}, { duration: 4 }, 0);",
    ];
    for script in scripts {
        let video = whole(&folder, &animated(&folder, 4, "<div class=\"box\"></div>", script));
        assert!(place(&video, 119) > 20, "{script}");
    }
}

/// A worker answers with what the frame shows that asked.
#[test]
#[ignore = "needs Chromium"]
fn what_a_worker_answers_is_there_in_the_frame_that_asked() {
    let folder = Folder::new();
    let script = "const worker = new Worker(URL.createObjectURL(new Blob(['onmessage = ({ data }) => setTimeout(() => postMessage(data * 50), 20)'])));\n\
                  worker.onmessage = ({ data }) => gsap.set('.box', { x: data });\n\
                  timeline.to({}, { duration: 4, onUpdate: () => worker.postMessage(timeline.time()) });";
    let video = whole(&folder, &animated(&folder, 4, "<div class=\"box\"></div>", script));
    is_at(&video, &[(30, 50), (59, 98), (60, 100), (61, 102), (90, 150)]);
}

/// Text is as sharp, and lies where it would, without the frames before, also where the browser is told that it will move.
#[test]
#[ignore = "needs Chromium"]
fn text_that_will_move_is_drawn_anew_where_it_comes_to() {
    let folder = Folder::new();
    let body = "<style>body { color: #fff } p { margin: 20px } span { display: inline-block } .sheet { will-change: transform, opacity }</style>\
                <p><span class=\"sheet\">Hello</span> <span style=\"will-change: transform\">wonderful</span> <span class=\"own\">world</span></p>";
    let script = "document.querySelector('.own').style.willChange = 'transform';\n\
                  timeline.from('span', { y: 40.3, scale: 0.6, opacity: 0, duration: 0.6, stagger: 0.1 }, 0.2).to({}, { duration: 4 }, 0);";
    whole(&folder, &animated(&folder, 4, body, script));
}

/// Edges between pixels are of what is there and of nothing that was drawn elsewhere before.
#[test]
#[ignore = "needs Chromium"]
fn boxes_with_text_between_pixels_have_edges_of_their_own_colour() {
    let folder = Folder::new();
    let body = "<style>p { position: absolute; top: 10px; width: 60px; height: 40px; margin: 0 }</style>\
                <p style=\"left: 10px; background: #00f; color: #00f\">A</p><p style=\"left: 78px; background: #f00; color: #f00\">B</p>";
    let script = "timeline.from('p', { x: -68, y: 48, duration: 1.8 }, 1).to({}, { duration: 4 }, 0);";
    let project = animated(&folder, 4, body, script);
    whole(&folder, &project);
    render(&project, &folder.join("frames"), &["--format", "png-sequence", "--frames", "60..70"]);
    for frame in 1..=10 {
        let picture = folder.join(&format!("frames/frame_{frame:06}.png"));
        let [pixels] = rgb_frames(&picture, (320, 180)).try_into().unwrap();
        let (boxes, mixed) = pixels.chunks_exact(3).fold((0, 0), |(boxes, mixed), pixel| {
            let [red, blue] = [pixel[0], pixel[2]].map(|level| usize::from(level > 0));
            (boxes + (red | blue), mixed + (red & blue))
        });
        assert!(boxes > 4000 && mixed == 0, "frame {frame}: {mixed} of {boxes}");
    }
}

/// Times are those of the frame rate that was asked for, not of a grid of 30.
#[test]
#[ignore = "needs Chromium"]
fn sixty_frames_a_second_show_sixty_places() {
    let folder = Folder::new();
    let project = animated(
        &folder,
        1,
        "<div class=\"box\"></div>",
        "timeline.to('.box', { x: 240, duration: 1, ease: 'none' });",
    );
    let video = folder.join("out.mp4");
    render(&project, &video, &["--fps", "60", "--quality", "high"]);
    let places: Vec<_> = (0..60).map(|frame| place(&video, frame)).collect();
    for (frame, found) in places.iter().enumerate() {
        assert!(found.abs_diff(frame * 4) <= 1, "frame {frame}: {places:?}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_tween_half_an_hour_in_is_shown() {
    let folder = Folder::new();
    let project = animated(
        &folder,
        1900,
        "<div class=\"box\"></div>",
        "timeline.to('.box', { x: 200, duration: 100, ease: 'none' }, 1780);",
    );
    let video = folder.join("out.mp4");
    render(&project, &video, &["--fps", "1", "--quality", "draft"]);
    assert_eq!(frame_count(&video), 1900);
    assert_eq!((place(&video, 1700), place(&video, 1830), place(&video, 1890)), (0, 100, 200));
}

/// A change of one pixel after a long time without any is no frame to be left out, nor are edges of the picture.
#[test]
#[ignore = "needs Chromium"]
fn every_pixel_counts_up_to_the_edges() {
    let folder = Folder::new();
    let body = "<style>body { background: #fff } .edge { position: absolute; inset: 0; box-sizing: border-box; border: 2px solid #000 }\n\
                .dot { position: absolute; left: 100px; top: 60px; width: 1px; height: 1px; background: #000 }</style>\n\
                <div class=\"edge\"></div><div class=\"dot\" data-start=\"3.5\" data-duration=\"0.5\"></div>";
    for (width, height) in [(320, 180), (180, 320), (854, 480), (321, 181)] {
        let name = format!("{width}x{height}");
        let project = folder.project_of_size(&name, (width, height), "data-no-timeline data-duration=\"4\"", body);
        let video = folder.join(&format!("{name}.mp4"));
        render(&project, &video, &["--quality", "high"]);
        let stride = width.next_multiple_of(2) as usize;
        let (before, after) = (rgb_frame(&video, 104), rgb_frame(&video, 105));
        let at = |pixels: &[u8], x: usize, y: usize| pixels[(y * stride + x) * 3];
        let (right, bottom) = (width as usize - 1, height as usize - 1);
        for (x, y) in
            [(0, bottom / 2), (right, bottom / 2), (right / 2, 0), (right / 2, bottom), (0, 0), (right, bottom)]
        {
            assert!(at(&after, x, y) < 60, "{name}: the edge at {x},{y} is {}", at(&after, x, y));
        }
        assert!(at(&before, 100, 60) > 200 && at(&after, 100, 60) < 150, "{name}: the dot of frame 105");
    }
}

/// A timeline that comes seconds after the page has loaded is waited for.
#[test]
#[ignore = "needs Chromium"]
fn a_timeline_that_comes_late_is_waited_for() {
    let folder = Folder::new();
    let body = format!(
        "{GSAP}<style>body {{ background: #000 }} .box {{ position: absolute; left: 0; top: 40px; width: 20px; height: 20px; background: #fff }}</style>\n\
         <div class=\"box\"></div><script>setTimeout(() => {{ const timeline = gsap.timeline({{ paused: true }});\n\
         timeline.to('.box', {{ x: 120, duration: 1, ease: 'none' }}); window.__timelines = {{ main: timeline }} }}, 3000);</script>"
    );
    let project = folder.project("site", "data-duration=\"1\"", &body);
    let video = folder.join("out.mp4");
    render(&project, &video, &["--quality", "high"]);
    assert!(place(&video, 15).abs_diff(60) <= 1, "{}", place(&video, 15));
}

/// What one frame shows does not depend on which chunk it is in, nor on how busy the machine is.
#[test]
#[ignore = "needs Chromium"]
fn many_renders_at_once_come_to_the_same() {
    const AT_ONCE: usize = 4;
    let folder = Folder::new();
    let project = animated(
        &folder,
        3,
        "<div class=\"box\"></div><p>Text</p>",
        "timeline.to('.box', { x: 200, rotation: 90, duration: 3 });",
    );
    let project = project.to_str().unwrap();
    let hashes: Vec<_> = std::thread::scope(|scope| {
        let render = |number: usize| {
            let out = folder.join(&format!("{number}.mp4"));
            producer(["render", project, "-o", out.to_str().unwrap(), "--quality", "draft"]).ok();
            frame_hashes(&out)
        };
        let runs: Vec<_> = (0..AT_ONCE).map(|number| scope.spawn(move || render(number))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "renders at the same time differ");
}

/// As soon as it runs, and whatever has loaded by then.
#[test]
#[ignore = "needs Chromium"]
fn a_script_measures_text_in_the_font_that_it_is_drawn_in() {
    let folder = Folder::new();
    // Bundled, by another name, from a package, and a piece of one that is bundled.
    let fonts = ["700 40px Oswald", "40px Georgia", "900 40px Poppins", "700 40px 'Segoe UI'", "40px Inter"];
    let fonts: Vec<_> = fonts
        .map(|font| (font, "Mail"))
        .into_iter()
        .chain([("40px Pacifico", "Mail"), ("40px Montserrat", "Почта")])
        .collect();
    let rows = fonts.iter().zip(0..).map(|((font, text), row)| {
        let (top, bar) = (row * 24, row * 24 + 12);
        format!(
            "<span style=\"top:{top}px;background:#f00;color:#f00;font:{font}\">{text}</span><i style=\"top:{bar}px;background:#00f\"></i>"
        )
    });
    let body = format!(
        "<style>body {{ margin: 0 }} span, i {{ position: absolute; left: 0; height: 12px; overflow: hidden }}</style>{}<script>\
         for (const span of document.querySelectorAll('span')) span.nextSibling.style.width = span.getBoundingClientRect().width + 'px'</script>",
        rows.collect::<String>()
    );
    let project = folder.project("site", "data-no-timeline data-duration=\"0.1\"", &body);
    let video = folder.join("out.mp4");
    render(&project, &video, &["--crf", "0"]);
    let pixels = rgb_frame(&video, 0);
    let width = |y: usize, part: usize| {
        (0..320).filter(|x| pixels[(y * 320 + x) * 3 + part] > 128 && pixels[(y * 320 + x) * 3 + 1] < 64).count()
    };
    for ((font, _), row) in fonts.iter().zip(0..) {
        let (text, bar) = (width(row * 24 + 6, 0), width(row * 24 + 18, 2));
        assert!(text > 50 && text.abs_diff(bar) <= 1, "{font}: {text} and {bar}");
    }
}
